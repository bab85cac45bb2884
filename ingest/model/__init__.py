"""What ingest speaks of: events, calls, ids. Plain data, without I/O."""
