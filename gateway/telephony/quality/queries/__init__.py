"""SQL for reviews and scorecards: one function per statement."""
