"""Calls: lists, one call with its timeline, notes, recordings, and who is told of a change."""
