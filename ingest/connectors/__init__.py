"""Connections to PBXs: leases, sign-in, receiving, catching up; signatures of posted events."""
