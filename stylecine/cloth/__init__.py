"""Cloth in the wind: the matte, the motion of one gust, its lighting, and the layer drawn over each frame."""
