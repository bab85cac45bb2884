"""What an operator sees of a worker: logs, metrics, and its background tasks."""
