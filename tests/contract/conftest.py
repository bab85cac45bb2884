"""Fixtures of the presence tests: opened stores, and nodes on one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.contract.presence_nodes import FAST, Nodes, nodes_at
from tests.contract.presence_stores import StoreUnderTest, opened_store


@pytest.fixture
async def nodes(redis_url: str) -> AsyncIterator[Nodes]:
    """Give a place to open nodes in."""
    async with nodes_at(redis_url) as opened:
        yield opened


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[StoreUnderTest]:
    """Give a store, opened, and what it announces."""
    async with opened_store(request, request.param, FAST) as world:
        yield world


@pytest.fixture(params=["memory", "redis"])
async def discreet(request: pytest.FixtureRequest) -> AsyncIterator[StoreUnderTest]:
    """Give a store that tells nobody when somebody was last seen."""
    settings = replace(FAST, show_last_seen=False)
    async with opened_store(request, request.param, settings) as world:
        yield world
