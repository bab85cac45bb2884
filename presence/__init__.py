"""Who is here, across all devices and nodes, and how reachable they are.

    store = RedisPresence(redis, node="a1", on_change=publish)   # or MemoryPresence(on_change=…)
    await store.open()
    await store.arrive(user_id, device_id)
    people = await store.look(user_ids)

This package knows Redis and nothing of the gateway.
"""

from presence.memory import MemoryPresence
from presence.model import Choice, OnChange, Presence, Status
from presence.redis_store import RedisPresence
from presence.settings import PresenceSettings
from presence.store import PresenceStore, Unavailable

__all__ = [
    "Choice",
    "MemoryPresence",
    "OnChange",
    "Presence",
    "PresenceSettings",
    "PresenceStore",
    "RedisPresence",
    "Status",
    "Unavailable",
]
