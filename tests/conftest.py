"""What every test may take as an argument, and the event loop that the product runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvloop

pytest_plugins = [
    "tests.scratch",
    "tests.embedded",
    "tests.servers",
    "tests.cluster",
    "tests.desk",
    "tests.dev",
]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on uvloop: asyncio's own transports behave differently."""
    return {"uvloop": uvloop.new_event_loop}
