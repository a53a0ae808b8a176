"""Many photos at once: the tasks, the workers that do them, and the report."""
