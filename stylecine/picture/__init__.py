"""From the photo to a frame: reading, inversion, the plate, the loop, style and weather."""
