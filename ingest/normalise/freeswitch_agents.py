"""The agents of mod_callcenter: available, on a break, logged out.

normalise.freeswitch ─▶ agent_status. A status holds in every queue of the agent; FreeSWITCH does
not report which queues those are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ingest.model.events import EventType

AGENT = re.compile(r"(\d{2,6})(?=@|$)")
"""mod_callcenter's name of an agent: `1001@default`."""
AGENT_STATUS: dict[str, tuple[EventType, ...]] = {
    "Available": ("agent.login", "agent.unpaused"),
    "Available (On Demand)": ("agent.login", "agent.unpaused"),
    "On Break": ("agent.login", "agent.paused"),
    "Logged Out": ("agent.logoff",),
}


def agent_status(fields: Mapping[str, str]) -> Iterator[tuple[EventType, str, dict[str, Any]]]:
    """Translate an agent's status. An agent without a number has no telephone: no event."""
    found = AGENT.match(fields.get("CC-Agent", ""))
    status = fields.get("CC-Agent-Status", "")
    if not found or status not in AGENT_STATUS:
        return
    for kind in AGENT_STATUS[status]:
        attrs = {"reason": status} if kind == "agent.paused" else {}
        yield kind, "", {"extension": found[1], "attrs": attrs}
