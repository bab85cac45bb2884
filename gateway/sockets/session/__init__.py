"""One client, from its first frame to its last."""
