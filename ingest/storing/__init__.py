"""From events to rows: one transaction for each batch."""
