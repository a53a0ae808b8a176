"""Sound: a periodic track, synthesised from what a photo shows."""
