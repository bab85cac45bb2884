"""SQL for jobs."""
