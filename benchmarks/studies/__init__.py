"""One-off studies behind decisions and goals; each is run as `python -m benchmarks.studies.NAME`."""
