"""One thread that ends whichever test hangs: pytest-timeout would start one for each test.

Starting and ending a thread takes longer than most tests of the units take.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import pytest_timeout

LOOKS_S = 1.0


class TimeLimit:
    """Looks every second whether the test that runs has had its time."""

    def __init__(
        self,
        end: Callable[[Any, Any], None] = pytest_timeout.timeout_timer,
        *,
        looks_s: float = LOOKS_S,
    ) -> None:
        self._end = end
        self._looks_s = looks_s
        self._running: tuple[float, Any, Any] | None = None
        """When the test has to be over, the test, and pytest-timeout's settings of it."""
        self._thread: threading.Thread | None = None

    def pytest_timeout_set_timer(self, item: object, settings: Any) -> bool | None:
        """Do what pytest-timeout asks for; None leaves it to do so itself."""
        if settings.method != "thread":
            return None
        self._running = time.monotonic() + settings.timeout, item, settings
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="time limit", daemon=True)
            self._thread.start()
        return True

    def pytest_timeout_cancel_timer(self) -> bool | None:
        if self._running is None:
            return None
        self._running = None
        return True

    def _watch(self) -> None:
        while True:
            time.sleep(self._looks_s)
            running = self._running
            if running is not None and time.monotonic() >= running[0]:
                self._running = None  # who debugs it is not interrupted again
                self._end(*running[1:])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(TimeLimit(), "time-limit")
