"""Work beside live events: partitions, lost calls, rebuild, replay of recordings."""
