"""Files: video, animated images, pages, and the metadata and signatures in them."""
