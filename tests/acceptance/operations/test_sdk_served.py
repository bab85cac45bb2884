"""The JavaScript SDK as another page loads it: /client.js and everything that it imports."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from tests.support.desk import Desk

OTHER_ORIGIN = "https://crm.example.com"
FROM = re.compile(r"^(?:import|export) [^;]*? from '([^']+)';$", re.MULTILINE)


async def test_the_sdk_loads_from_another_origin(empty_desk: Desk) -> None:
    """A module script of another origin needs the CORS header on each of its files."""
    await empty_desk.start_node(allowed_origins=(OTHER_ORIGIN,))
    http = empty_desk.http()
    loaded: set[str] = set()
    wanted = {"/client.js"}

    while wanted:
        path = wanted.pop()
        loaded.add(path)
        response = await http.get(path, headers={"Origin": OTHER_ORIGIN})
        assert response.status_code == 200, path
        assert response.headers["content-type"].startswith("text/javascript")
        assert response.headers["access-control-allow-origin"] == OTHER_ORIGIN
        wanted |= {urljoin(path, named) for named in FROM.findall(response.text)} - loaded

    assert {"/sdk/client.js", "/sdk/protocol.js", "/sdk/watches.js", "/sdk/upload.js"} <= loaded
    assert all(path.startswith("/sdk/") for path in loaded - {"/client.js"})
