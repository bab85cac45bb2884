"""Who may connect, how often, and when to come back; the sessions of a device; draining."""
