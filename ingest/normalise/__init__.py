"""Native messages of each PBX to CallEvents: pure functions."""
