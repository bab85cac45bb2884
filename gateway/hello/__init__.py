"""What a hello reads: who it is, their conversations, calls and counts, and what they missed."""
