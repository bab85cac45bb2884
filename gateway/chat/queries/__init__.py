"""SQL for conversations: one function per statement."""
