"""SQL for calls as clients see them: one function for each statement."""
