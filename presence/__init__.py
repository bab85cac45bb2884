"""Who is online on any device and node, and how reachable they are.

    store = RedisPresence(redis, node="a1", on_change=publish)   # or MemoryPresence(on_change=…)
    await store.open()
    await store.arrive(user_id, device_id)
    people = await store.fetch(user_ids)

This package imports nothing of the gateway.
"""

from presence.memory import MemoryPresence
from presence.model import Choice, OnChange, PresenceState, Status
from presence.redis_store import RedisPresence
from presence.settings import PresenceSettings
from presence.store import PresenceStore, StoreUnavailable

__all__ = [
    "Choice",
    "MemoryPresence",
    "OnChange",
    "PresenceSettings",
    "PresenceState",
    "PresenceStore",
    "RedisPresence",
    "Status",
    "StoreUnavailable",
]
