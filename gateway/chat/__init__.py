"""Conversations, messages, receipts: each function is one command."""
