"""Where PBXs come in: named connections, signed posts, Twilio's callbacks."""
