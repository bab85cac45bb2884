"""SQL for agents and queues as they are now: one function for each statement."""
