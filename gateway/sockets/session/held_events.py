"""What a session hears: events of its topics, held back while what they follow is being read.

hub ─▶ Ear ─▶ sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from gateway import topics
from gateway.context import Context
from gateway.delivery.lanes import PASSING
from gateway.delivery.shared_frame import SharedFrame
from gateway.delivery.small_set import SmallSet
from gateway.sockets.outgoing.sender import Sender

FEW = 100


class Held:
    """What a session is not to hear yet, or no more. Only those that are catching up have one."""

    __slots__ = ("bytes", "events", "floors", "times")

    def __init__(self) -> None:
        self.times = 0
        self.events: list[tuple[str, int, SharedFrame, int, int]] = []
        self.bytes = 0
        self.floors: dict[str, int] = {}
        """topic → the change up to which its events are known to the client."""


class Ear:
    """The listening half of a session."""

    __slots__ = (
        "_held", "_sender", "context", "fingerprint", "needs_reconcile", "rights_stamp", "topics",
    )  # fmt: skip

    def __init__(self, sender: Sender) -> None:
        self.context: Context | None = None
        self.topics: SmallSet[str] = SmallSet()
        self.needs_reconcile = False
        self.fingerprint = (0, 0)
        """How many conversations it hears, and the sum of their numbers."""
        self.rights_stamp = 0
        """What the upkeep last saw of its employee's standing in the CRM."""
        self._sender = sender
        self._held: Held | None = None

    @property
    def user_id(self) -> int:
        return self.context.user_id if self.context else 0

    @property
    def live(self) -> bool:
        """Whether it has been welcomed and nothing is held back."""
        return self.context is not None and not (self._held and self._held.times)

    def counted(self, topic: str, step: int) -> None:
        """Keep the fingerprint along, so that the upkeep need not go through everyone's topics."""
        conversation_id = topics.conversation_of(topic)
        if conversation_id is not None:
            count, total = self.fingerprint
            self.fingerprint = (count + step, total + step * conversation_id)

    def hear(self, topic: str, change: int, frame: SharedFrame, lane: int, by: int) -> None:
        """Take an event of a topic this session joined."""
        held = self._held
        if held is not None:
            if held.times:
                self._keep(held, (topic, change, frame, lane, by))
                return
            if change and change <= held.floors.get(topic, 0):
                return
        self._sender.send_shared(frame, lane, (topic, by) if lane == PASSING else None)

    def _keep(self, held: Held, event: tuple[str, int, SharedFrame, int, int]) -> None:
        """Hold an event back, passing ones only a few, and not more than a slow reader may owe."""
        if event[3] == PASSING and len(held.events) >= FEW:
            return
        if held.bytes > self._sender.limit_bytes:
            return
        held.events.append(event)
        held.bytes += len(event[2].plain)
        if held.bytes > self._sender.limit_bytes:
            held.events.clear()
            # Not from here: the hub is just going through its listeners.
            asyncio.get_running_loop().call_soon(self.overflowed)

    def send(self, payload: bytes, lane: int) -> None:
        """Send what is meant for this session alone."""
        self._sender.send_payload(payload, lane)

    @property
    def full(self) -> bool:
        """Whether this client's socket takes nothing just now."""
        return self._sender.full

    def overflowed(self) -> None:
        """Let a client go for whom more waits than may wait."""
        raise NotImplementedError

    def hold(self) -> None:
        """Keep events back until release: what they follow is being read."""
        if self._held is None:
            self._held = Held()
        self._held.times += 1

    def holds(self, topic: str, first: int, last: int) -> bool:
        """Say whether every change from first to last of this topic is held back here."""
        events = self._held.events if self._held else ()
        kept = {change for heard, change, *_ in events if heard == topic}
        return all(change in kept for change in range(first, last + 1))

    def release(self, floors: dict[str, int], *, keep: AbstractSet[str] = frozenset()) -> None:
        """Go on with the events kept back, without those at or below a topic's floor.

        Floors of topics in `keep` stay: their streams on this node have yet to come that far.
        """
        held = self._held
        if held is None:  # it has ended meanwhile
            return
        held.times -= 1
        held.floors.update(floors)
        if not held.times:
            events, held.events, held.bytes = held.events, [], 0
            for event in events:
                self.hear(*event)
        for topic in floors:
            if topic not in keep:
                held.floors.pop(topic, None)
        if not held.times and not held.floors:
            self._held = None

    def discard_held(self, topic: str, doomed: Callable[[SharedFrame], bool]) -> None:
        """Drop what is kept back of a topic, but must not be heard."""
        held = self._held
        if held is not None:
            held.events = [one for one in held.events if one[0] != topic or not doomed(one[2])]
            held.bytes = sum(len(one[2].plain) for one in held.events)

    def reset(self) -> None:
        """Undo a hello that failed: nothing was heard."""
        self.context = None
        self._held = None
