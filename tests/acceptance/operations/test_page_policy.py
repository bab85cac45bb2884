"""What the page's Content-Security-Policy lets a browser load and talk to."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import Settings
from tests.support.desk import Desk


async def policy(desk: Desk, **headers: str) -> dict[str, list[str]]:
    """Return directive → sources."""
    said = (await desk.http().get("/", headers=headers)).headers["content-security-policy"]
    return {name: sources for name, *sources in (part.split() for part in said.split(";"))}


async def test_the_page_talks_to_its_own_host_alone(small_desk: Desk) -> None:
    """No WebSocket to just anywhere, no picture from anywhere: a script could carry data there."""
    found = await policy(small_desk, Host="gateway.example.com:8443")

    assert found["connect-src"] == [
        "'self'", "ws://gateway.example.com:8443", "wss://gateway.example.com:8443",
    ]  # fmt: skip
    assert found["img-src"] == ["'self'", "data:", "blob:"]
    assert found["default-src"] == ["'self'"]


async def test_named_origins_may_have_pictures(empty_desk: Desk) -> None:
    """Those of GATEWAY_PICTURE_ORIGINS, and nothing else of them."""
    await empty_desk.start_node(picture_origins="https://crm.example.com, http://a.example:81/")

    found = await policy(empty_desk)

    assert found["img-src"][3:] == ["https://crm.example.com", "http://a.example:81"]
    assert "https://crm.example.com" not in found["connect-src"]


async def test_files_come_from_the_public_address(empty_desk: Desk, tmp_path: Path) -> None:
    """Links to them begin with it, and the page may be open at another one."""
    await empty_desk.start_node(
        files_dir=tmp_path / "files", public_url="https://files.example.com:8443/gateway/"
    )

    found = await policy(empty_desk)

    for kind in ("img-src", "media-src", "connect-src"):
        assert found[kind][-1] == "https://files.example.com:8443", kind


@pytest.mark.parametrize(
    "origin", ["crm.example.com", "https://crm.example.com/pictures", "https:", "*", "https://a;b"]
)
def test_what_is_no_origin_stops_the_start(origin: str) -> None:
    """A policy is not made of it."""
    with pytest.raises(ValidationError, match="scheme and host"):
        Settings(picture_origins=origin)
