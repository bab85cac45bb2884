"""What is done beside live events: partitions, lost calls, rebuilding, replay."""
