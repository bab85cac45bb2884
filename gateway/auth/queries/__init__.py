"""SQL for who may come in."""
