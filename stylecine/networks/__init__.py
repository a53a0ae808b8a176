"""The networks: plain torch modules, one file each, whose sizes are read off their tensors."""
