"""What a person changes about a scene, and the .cine file that keeps it. Editing needs no PyTorch."""
