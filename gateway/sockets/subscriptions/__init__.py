"""Which topics a session is joined to, and from which position."""
