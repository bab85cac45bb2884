"""How PBXs talk: messages on the wire, recordings, signatures."""
