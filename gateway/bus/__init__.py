"""The bus: carries announcements from COMMIT to every node.

bus.publish([announce(topics.conversation(17), MessageCreated(...), change=446)])
"""

from __future__ import annotations

from gateway.bus.announcement import Announcement, announce
from gateway.bus.bus import Bus
from gateway.bus.memory import MemoryBroker, MemoryBus
from gateway.bus.redis_bus import RedisBus
from gateway.bus.redis_config import RedisConfig

__all__ = [
    "Announcement",
    "Bus",
    "MemoryBroker",
    "MemoryBus",
    "RedisBus",
    "RedisConfig",
    "announce",
]
