"""SQL of ingest: one function per statement, types in, dataclasses out."""
