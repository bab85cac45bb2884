"""What the tests of the ingest share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.db import Pool, open_pool
from tests.integration.ingest_tools import Heard


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Give a pool on this test's database."""
    async with await open_pool(database, application_name="test-ingest", max_size=4) as opened:
        yield opened


@pytest.fixture
def heard() -> Heard:
    return Heard()
