"""Telephony for clients: what ingest has stored of calls is read, shown, announced and worked with.

calls      lists, one call, notes, recordings, number lookup; call.* events after ingest's COMMIT
callbacks  missed calls, and the requests to call customers back
agents     what agents and queues do now; who is on a call, for presence
stats      statistics of a period, cached for a minute
quality    reviews of calls, by scorecards
pbx        the operator's PBXs: connections, signed webhooks, Twilio's callbacks

Each package has its use cases, and its SQL in queries/. gateway.commands, gateway.rest and sockets
call them; ingest knows none of them: gateway.app passes it calls_changed and agents_changed.
"""
