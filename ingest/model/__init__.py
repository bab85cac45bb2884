"""The data of ingest: events, calls, snapshots, receipts, ids. No I/O."""
