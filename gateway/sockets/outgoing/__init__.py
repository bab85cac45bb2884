"""Frames on their way to one socket: built once, in lanes, bounded."""
