"""The stages between a photo and its loop, one module each; none imports another, pipeline.py joins them."""
