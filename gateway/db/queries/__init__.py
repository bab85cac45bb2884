"""SQL for keeping track of the schema."""
