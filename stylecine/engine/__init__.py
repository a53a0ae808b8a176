"""From a photo to its loop: the networks of a model, scenes, what moves in them, and finished loops."""
