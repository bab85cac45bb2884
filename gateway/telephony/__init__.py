"""Reading and working with calls."""
