"""What agents and queues do now."""
