"""How PBXs talk: live connections, messages on the wire, recordings, signatures."""
