"""Missed calls, and the customers to call back because of them."""
