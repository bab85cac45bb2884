"""The servers the gateway is compared with: each sends one event to all clients, by its manual.

`python -m loadtests.baselines.NAME` prints its port, greets each client with "hi", and sends the
event once to all for every line on its standard input. It ends with its standard input.
"""

EVENT_BYTES = 237
"""The payload of an event: a short message.created."""
