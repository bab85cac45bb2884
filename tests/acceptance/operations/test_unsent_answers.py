"""HTTP answers that nobody reads: how long, and how much of them, a worker keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.limits import HeldBytes
from gateway.rest.kept import Document
from gateway.sockets.listener.http import HIGH_WATER, MAX_PIPELINED
from tests.support.desk import OKSANA, PETRO, Desk, RunningNode, eventually
from tests.support.unread import unread

LARGE = "/openapi.json"
LINE = "x" * 8_000
MESSAGES = 60


def connections(node: RunningNode) -> int:
    return len(node.server.server_state.connections)


async def long_history(desk: Desk) -> str:
    """Write a conversation of half a megabyte; return the path of its newest page."""
    oksana = desk.http(OKSANA)
    opened = await oksana.post("/v1/messenger/conversations", json={"employee_id": PETRO})
    conversation_id = opened.json()["conversation"]["id"]
    await desk.sql(
        """
        SELECT realtime.send_message($1, $2, $3, gen_random_uuid())
          FROM generate_series(1, $4)
        """,
        conversation_id, OKSANA, LINE, MESSAGES,
    )  # fmt: skip
    return f"/v1/messenger/conversations/{conversation_id}/messages?limit=100"


async def test_an_answer_that_nobody_takes_is_not_kept(empty_desk: Desk) -> None:
    """Thirty of them are let go after the time for sending, closed by us or not."""
    node = await empty_desk.start_node(send_s=0.4)
    with unread(node.port, 30) as clients:
        for client in clients:
            await client.ask(LARGE)
        await eventually(lambda: node.node.unsent.total > 30 * HIGH_WATER)

        await eventually(lambda: connections(node) == 0)

    assert node.node.unsent.total == 0
    assert node.node.metrics.rejected["response not taken"] == 30


async def test_an_answer_before_a_close_is_not_kept_either(empty_desk: Desk) -> None:
    """A connection that ends behind its answer, and takes nothing, is cut as well."""
    node = await empty_desk.start_node(send_s=0.4)
    with unread(node.port) as (client,):
        said = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(client.sock, said.encode())
        await eventually(lambda: node.node.unsent.total > 0)

        await eventually(lambda: node.node.metrics.rejected["response not taken"] == 1)

    await eventually(lambda: node.node.unsent.total == 0)


async def test_who_reads_slowly_gets_all_of_it(empty_desk: Desk) -> None:
    """The time for sending begins anew with whatever is taken."""
    node = await empty_desk.start_node(send_s=1.0)
    expected = (await empty_desk.http().get(LARGE)).content
    began = asyncio.get_running_loop().time()
    taken = b""
    with unread(node.port) as (client,):
        await client.ask(LARGE)
        while len(taken) < len(expected):
            taken += await client.read(len(expected) // 40)
            await asyncio.sleep(0.06)  # what is measured: slower than the time for sending

    assert asyncio.get_running_loop().time() - began > 1.5
    assert taken.endswith(expected[-1_000:])


async def test_an_employee_has_so_many_bytes_unread(empty_desk: Desk) -> None:
    """The oldest answer makes room for a new one; nobody else's does."""
    node = await empty_desk.start_node(unsent_bytes=2**20)
    path = await long_history(empty_desk)
    with unread(node.port, 1) as (other,), unread(node.port, 12) as clients:
        await other.ask(path, token=empty_desk.token(PETRO))
        await eventually(lambda: node.node.unsent.held_for(PETRO) > 300_000)
        for client in clients:
            await client.ask(path, token=empty_desk.token(OKSANA))

        await eventually(lambda: node.node.metrics.rejected["too many unsent bytes"] >= 9)

        await eventually(lambda: 300_000 < node.node.unsent.held_for(OKSANA) <= 2**20)
        assert node.node.unsent.held_for(PETRO) > 300_000
        with unread(node.port, 1) as (again,):
            await again.ask(path, token=empty_desk.token(OKSANA))
            assert (await again.read_answers(1))[0].count(LINE.encode()) == MESSAGES
        assert (await other.read_answers(1))[0].count(LINE.encode()) == MESSAGES


async def test_all_together_have_so_many_bytes_unread(empty_desk: Desk) -> None:
    """Whoever they belong to: the one that waits for longest is cut."""
    node = await empty_desk.start_node(unsent_total_bytes=2**20, trusted_proxies="127.0.0.1")
    with unread(node.port, 20) as clients:
        for number, client in enumerate(clients):
            said = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.{number}\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(client.sock, said.encode())

        await eventually(lambda: node.node.metrics.rejected["too many unsent bytes"] >= 10)

        await eventually(lambda: node.node.unsent.total <= 2**20)
        with unread(node.port, 1) as (again,):
            await again.ask(LARGE)
            assert (await again.read_answers(1))[0].endswith(b"}")


async def test_a_pipeline_goes_on_when_its_answers_are_taken(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer waits for a client, and the next request is not even begun; then all come."""
    begun = 0
    respond = Document.respond

    async def counted(*arguments: Any) -> Any:
        nonlocal begun
        begun += 1
        return await respond(*arguments)

    monkeypatch.setattr(Document, "respond", counted)
    node = await empty_desk.start_node()
    expected = (await empty_desk.http().get(LARGE)).content
    begun = 0
    with unread(node.port) as (client,):
        await client.ask(LARGE, times=MAX_PIPELINED)
        await eventually(lambda: node.node.unsent.total > 0)
        for _ in range(20):  # turns in which more could begin
            await empty_desk.http().get("/healthz")
        assert begun == 1
        assert node.node.unsent.total <= len(expected) + HIGH_WATER

        bodies = await client.read_answers(MAX_PIPELINED)

    assert bodies == [expected] * MAX_PIPELINED


async def test_a_connection_may_pipeline_so_many_requests(empty_desk: Desk) -> None:
    """More in one write are no client: it is cut before they take memory."""
    node = await empty_desk.start_node()
    with unread(node.port) as (client,):
        await client.ask("/healthz", times=MAX_PIPELINED)
        assert len(await client.read_answers(MAX_PIPELINED)) == MAX_PIPELINED
        await client.ask("/healthz", times=2_000)
        await client.read_to_the_end()

    await eventually(lambda: connections(node) == 0)
    assert node.node.metrics.rejected["too many pipelined requests"] == 1


class _Named:
    """A holder that notes that it was cut."""

    def __init__(self, name: str, cut: list[str]) -> None:
        self._name, self._cut = name, cut

    def cut(self, why: str) -> None:
        self._cut.append(f"{self._name} {why}")


def test_the_oldest_of_an_owner_is_cut_and_the_sums_stay_right() -> None:
    """However often one holds anew, is released twice, or is too large alone."""
    cut: list[str] = []
    held = HeldBytes(per_owner=10, in_all=25, why="full")
    a, b, c, d, e = (_Named(name, cut) for name in "abcde")

    held.hold(a, 1, 6)
    held.hold(b, 2, 6)
    held.hold(a, 1, 4)
    held.hold(c, 1, 6)
    assert (cut, held.held_for(1), held.total) == ([], 10, 16)
    held.hold(d, 1, 30)
    assert cut == ["a full", "c full", "b full"]
    assert (held.held_for(1), held.held_for(2), held.total) == (30, 0, 30)
    held.hold(e, None, 5)
    assert cut[3:] == ["d full"]
    for one in (a, b, c, d, e, e):
        held.release(one)
    assert (held.total, held.held_for(1), held.held_for(None)) == (0, 0, 0)
