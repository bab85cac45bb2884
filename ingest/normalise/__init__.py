"""What each PBX says, put into one language: pure functions from native messages to CallEvents."""
