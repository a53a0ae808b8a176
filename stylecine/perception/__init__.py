"""What is in a photo: what moves, what stands, and what kind of water it is."""
