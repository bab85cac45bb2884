"""SQL for reviews and scorecards: one function for each statement."""
