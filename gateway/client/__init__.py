"""The Python SDK.

    async with connect("ws://127.0.0.1:8080/v1/ws", token) as gateway:
        conversation = (await gateway.open(employee_id=2)).conversation
        await gateway.send(conversation.id, "Hello!")
        async for event in gateway:
            print(event)

After a reconnect it fetches the events that were missed; where it cannot, a Reload names the
conversation whose history has to be fetched again. What was watched (presence, queues) is watched
again. `connect(…, on_state=…)` reports how the connection is.

It imports the wire types and nothing else of the gateway.
"""

from gateway.client.connection import Connection, connect
from gateway.client.errors import ConnectionEnded, RequestRefused, TooFarBehind
from gateway.client.events import Reload
from gateway.client.states import ConnectionState

__all__ = [
    "Connection",
    "ConnectionEnded",
    "ConnectionState",
    "Reload",
    "RequestRefused",
    "TooFarBehind",
    "connect",
]
