"""Messages of PBX protocols: bytes ⇄ messages. Used by connectors and normalise, knows neither."""
