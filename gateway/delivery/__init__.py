"""From an announcement to whoever listens on this worker: topics, and streams without gaps."""
