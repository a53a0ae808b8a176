"""Readers of other projects' StyleGAN2 checkpoints; they return tensors under NVIDIA's PyTorch names.

unpickle.py     pickles in, inert data out: nothing is imported or called
nvidia.py       stylegan2 (TensorFlow), stylegan2-ada-pytorch and stylegan3 .pkl
rosinality.py   stylegan2-pytorch .pt, which StyleCineGAN uses too
"""
