"""SQL for missed calls and call-backs: one function per statement."""
