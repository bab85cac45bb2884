"""Seeing what happens: logs, metrics, background tasks."""
