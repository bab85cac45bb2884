"""SQL for missed calls and call-back requests: one function for each statement."""
