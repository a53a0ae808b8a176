"""What a person changes about a scene, and the .cine file that keeps it."""
