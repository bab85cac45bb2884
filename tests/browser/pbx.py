"""A PBX that only posts what happens, to the gateway whose page is tested."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import orjson

from tests.browser.window import PageGateway
from tests.support.calls import signed


async def post(gateway: PageGateway, *events: dict[str, Any]) -> None:
    """Tell what happens, as a PBX that only posts."""
    state_dir: Path = gateway.state_dir  # type: ignore[attr-defined]
    secret = (state_dir / "pbx_secret").read_text(encoding="ascii").strip()
    now = datetime.now(UTC).isoformat()
    body = orjson.dumps([{"occurred_at": now, **event} for event in events])
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        answer = await http.post(
            "/v1/telephony/events", content=body, headers=signed(body, secret=secret)
        )
    assert answer.json()["accepted"] == len(events), answer.text
