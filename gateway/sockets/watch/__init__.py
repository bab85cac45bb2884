"""State that clients watch: unread counts, presence, queues, calls."""
