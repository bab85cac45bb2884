"""SQL for load tests."""
