"""Employees for clients: who there is, and how reachable."""
