"""Messages of PBX protocols: bytes ⇄ messages. Connectors and normalise import it."""
