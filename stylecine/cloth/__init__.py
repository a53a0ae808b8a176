"""Cloth in the wind: its matte, the motion of one gust, the light on it, and the layer composited over each frame."""
