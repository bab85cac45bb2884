"""What every test may take as an argument, and the event loop that the product runs on."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import pytest
import structlog
import uvloop

pytest_plugins = ["tests.support.scratch", "tests.support.time_limit", "tests.support.rings"]

FIXTURES = [
    "tests.support.kept_routes",
    "tests.support.kept_objects",
    "tests.support.embedded",
    "tests.support.servers",
    "tests.support.cluster",
    "tests.support.desk",
    "tests.support.queues",
    "tests.support.dev",
]
pytest.register_assert_rewrite(*FIXTURES)

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


def pytest_sessionstart(session: pytest.Session) -> None:
    """Import the fixtures, and with them the gateway, where tests run: not where xdist deals them.

    Importing takes 2 s, and until then no worker starts.
    """
    signal.signal(signal.SIGINT, _interrupt)
    if not session.config.pluginmanager.hasplugin("dsession"):
        gc.disable()  # until all is collected, which stays: see kept_objects
        for name in FIXTURES:
            session.config.pluginmanager.import_plugin(name)


def _interrupt(*_: object) -> NoReturn:
    """Do as Python does, by a handler that asyncio leaves alone.

    It replaces Python's own for each test and fixture, and compares handlers by way of an error
    whose text has the whole result of the task: a node with all its settings.
    """
    raise KeyboardInterrupt


def pytest_itemcollected(item: pytest.Item) -> None:
    """End an asynchronous test that hangs, showing where it waits.

    pytest-timeout cannot: an exception that a signal's handler raises is swallowed by the loop. Of
    what hangs elsewhere it ends the process, later.
    """
    test = getattr(item, "obj", None)
    if inspect.iscoroutinefunction(test):
        marker = item.get_closest_marker("timeout")
        limit_s = float(marker.args[0] if marker else item.config.getini("timeout"))
        item.obj = _limited(test, limit_s - 20)  # type: ignore[attr-defined]


def _limited(test: Callable[..., Awaitable[None]], limit_s: float) -> Callable[..., Any]:
    @functools.wraps(test)
    async def limited(**arguments: Any) -> None:
        async with asyncio.timeout(limit_s):
            await test(**arguments)

    return limited
