"""From events to rows: one transaction a batch."""
