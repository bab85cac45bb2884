"""SQL for what several people are told on arrival: one function per statement."""
