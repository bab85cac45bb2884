"""SQL for statistics: one function per statement."""
