"""A worker's own metrics: GET /metrics over one persistent connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

TIMEOUT_S = 30.0


class Scrape:
    """One connection to one worker: a new one for each reading would change the figures."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    async def fetch(self) -> dict[str, float]:
        """Return `name{labels}` → value."""
        return await asyncio.get_running_loop().run_in_executor(None, self._fetch)

    def _fetch(self) -> dict[str, float]:
        try:
            lines = self._request()
        except ConnectionError:  # the worker ends a connection that is quiet for 5 s
            self._connection.close()
            lines = self._request()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def _request(self) -> list[str]:
        self._connection.request("GET", "/metrics")
        return self._connection.getresponse().read().decode().splitlines()


@contextmanager
def scraping(port: int) -> Iterator[Scrape]:
    """Give the figures of the worker that listens there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        yield Scrape(connection)
    finally:
        connection.close()
