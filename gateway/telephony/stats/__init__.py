"""Statistics of calls, queues and agents."""
