"""Who may connect, how often, and when to come back."""
