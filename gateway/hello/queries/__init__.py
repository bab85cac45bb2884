"""SQL for the welcomes of several employees: one function per statement."""
