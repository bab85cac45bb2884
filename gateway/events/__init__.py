"""Events of the CRM: published in its own transactions, delivered to sockets in one order.

realtime.publish, POST /v1/events ─▶ realtime.events_outbox ─▶ Relay ─▶ realtime.events, the bus ─▶
sockets/watch/event_stream.py of every node. What is committed is relayed once; what is announced
may be lost, and is then read from realtime.events.
"""
