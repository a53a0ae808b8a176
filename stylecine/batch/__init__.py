"""Many photos: tasks, workers and the report."""
