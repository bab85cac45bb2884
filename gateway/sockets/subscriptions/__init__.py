"""Which topics a session hears, and from which position."""
