"""What the tests of presence on Redis share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.presence_nodes import Nodes, nodes_at


@pytest.fixture
async def nodes(redis_url: str) -> AsyncIterator[Nodes]:
    """Give a place to open nodes in."""
    async with nodes_at(redis_url) as opened:
        yield opened
