"""What a hello reads: the employee, conversations, calls, counts, and what was missed."""
