"""What every test may take as an argument, and the event loop that the product runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
import uvloop

pytest_plugins = [
    "tests.support.kept_routes",
    "tests.support.scratch",
    "tests.support.embedded",
    "tests.support.servers",
    "tests.support.cluster",
    "tests.support.desk",
    "tests.support.queues",
    "tests.support.dev",
]

# Structlog's default draws tracebacks with all local values: seconds in which the event loop, and
# every node on it, stands still. The product prints them plainly, too (gateway/ops/logs.py).
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on uvloop: asyncio's own transports behave differently."""
    return {"uvloop": uvloop.new_event_loop}
