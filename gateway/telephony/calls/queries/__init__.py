"""SQL for calls as clients see them: one function per statement."""
