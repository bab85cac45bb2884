"""How PBX events come in: live connections, signed webhooks, Twilio's callbacks.

settings ─▶ connections.build_connectors ─▶ ingest's Connectors ─▶ pipeline   (AMI, ESL)
rest ─▶ webhook, twilio: signature, validation ─▶ ingest's pipeline ─▶ the answer after the COMMIT
"""
