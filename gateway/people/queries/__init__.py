"""SQL for employees as clients see them."""
