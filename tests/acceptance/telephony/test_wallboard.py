"""Supervisors see queues as they are now, on any node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.client import Connection
from gateway.errors import DatabaseUnavailable
from gateway.protocol import (
    CallEnded,
    CallOffered,
    CallRevised,
    CallUpdated,
    QueueChanged,
    QueueLive,
    QueueUnwatched,
    QueueWatch,
    QueueWatched,
    codec,
)
from gateway.sockets.watch import queue_watches
from gateway.telephony.agents import agents, wallboard
from tests.support.desk import OKSANA, Desk, eventually, nothing_within, refused
from tests.support.queues import SALES, SUPPORT, QueuePbx, supervisor, watching

pytestmark = pytest.mark.usefixtures("brisk")


async def until(client: Connection, right: Callable[[QueueLive], bool]) -> QueueLive:
    """Return the first state of a queue that client receives and that matches."""
    last = 0
    while True:
        changed: QueueChanged = await client.next(QueueChanged)
        for queue in changed.queues:
            assert queue.version > last
            if right(queue):
                return queue
            last = queue.version


def plain(queue: QueueLive) -> dict[str, Any]:
    """Return a state without its version."""
    said: dict[str, Any] = codec.parse(codec.encode(queue))
    del said["version"]
    return said


async def test_a_watcher_sees_calls_wait_and_be_answered(desk: Desk) -> None:
    """From waiting to talking to over, on the other node; each time equal to a fresh read."""
    pbx = QueuePbx(desk)
    await pbx.agent("login")
    await pbx.agent("login", "102")
    await pbx.agent("paused", "102", attrs={"reason": "ACW"})
    client, shown = await watching(desk, [SALES, "nobody's", SALES])
    sales = {queue.queue: queue for queue in shown.queues}[SALES]
    agents = sales.agents
    assert (agents.total, agents.available, agents.wrap_up) == (2, 1, 1)
    assert [queue.queue for queue in shown.queues] == ["nobody's", SALES]

    await pbx.enter("c1")
    waiting = await until(client, lambda queue: queue.waiting == 1)
    await pbx.ring("c1")
    rung = await until(client, lambda queue: queue.agents.ringing == 1)
    await pbx.answer("c1")
    talking = await until(client, lambda queue: queue.talking == 1)
    await pbx.hang_up("c1", "101")
    over = await until(client, lambda queue: queue.talking == 0 and queue.agents.available == 1)

    assert waiting.longest_since is not None
    assert pbx.now < waiting.longest_since < pbx.now + timedelta(seconds=1)
    assert waiting.today.service_level.value is None
    assert (rung.waiting, rung.agents.available) == (1, 0)
    assert (talking.waiting, talking.longest_since, talking.agents.talking) == (0, None, 1)
    assert (over.today.offered, over.today.answered, over.today.abandoned) == (1, 1, 0)
    assert over.today.service_level.value == 1.0
    fresh: QueueWatched = await client.request(QueueWatch(queues=[SALES]))
    http = desk.http(await supervisor(desk))
    (listed,) = (await http.get("/v1/telephony/queues")).json()["queues"]
    assert plain(fresh.queues[0]) == plain(over)
    del listed["version"]
    assert listed == plain(over)


async def test_changes_come_at_most_once_a_second_and_whole(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty callers at once are one or two frames; watchers of other queues receive none."""
    monkeypatch.setattr(queue_watches, "CONFLATE_S", 1.0)
    client, _ = await watching(desk, [SALES])
    other, _ = await watching(desk, [SUPPORT], node=0)
    pbx = QueuePbx(desk)

    for number in range(20):
        await pbx.enter(f"c{number}")

    heard = [await client.next(QueueChanged)]
    while heard[-1].queues[0].waiting < 20:
        heard.append(await client.next(QueueChanged))
    assert len(heard) <= 3
    assert [queue.queue for queue in heard[-1].queues] == [SALES]
    await nothing_within(other.next(QueueChanged), 0.2)


async def test_with_calls_view_all_a_watcher_receives_the_calls_of_its_queues(desk: Desk) -> None:
    """Offered, updated, ended, and revised by late events; no calls of other queues."""
    client, _ = await watching(desk, [SALES], calls=True)
    oksana = await desk.client(OKSANA, node=1)
    pbx = QueuePbx(desk)

    await pbx.enter("c0", SUPPORT)
    await pbx.enter("c1")
    await pbx.ring("c1")
    await pbx.answer("c1")
    await pbx.hang_up("c1", "101")

    offered = (await client.next(CallOffered)).call
    assert (offered.queue, offered.status) == (SALES, "ringing")
    ended = (await client.next(CallEnded)).call
    assert (ended.id, ended.outcome) == (offered.id, "answered")
    assert (await oksana.next(CallEnded)).call == ended
    pbx.now -= timedelta(minutes=1)
    await pbx.submit(("queue.entered", {"leg_key": "c1", "queue": SUPPORT}))
    revised = (await client.next(CallRevised)).call
    assert revised.version > ended.version
    assert [stint.queue for stint in revised.stints] == [SUPPORT, SALES]
    assert (await oksana.next(CallRevised)).call == revised
    await nothing_within(oksana.next(CallUpdated), 0.2)


async def test_watching_needs_the_permission_for_as_long_as_it_lasts(small_desk: Desk) -> None:
    """Without it the command is forbidden; who loses it receives queue.unwatched, and no more."""
    oksana = await small_desk.client(OKSANA)
    assert await refused(oksana.request(QueueWatch(queues="all"))) == "permission.denied"
    for path in ("queues", "agents"):
        assert (await small_desk.http(OKSANA).get(f"/v1/telephony/{path}")).status_code == 403
        assert (await small_desk.http().get(f"/v1/telephony/{path}")).status_code == 401
    who = await supervisor(small_desk)
    client, _ = await watching(small_desk, calls=True, agents=True)

    await small_desk.sql(
        "UPDATE demo_crm.roles SET permissions = array_remove(permissions, 'calls.view_all')"
    )
    await client.next(QueueUnwatched)
    assert (
        await refused(client.request(QueueWatch(queues="all", calls=True))) == "permission.denied"
    )
    await client.request(QueueWatch(queues="all"))
    await small_desk.sql(
        "UPDATE demo_crm.roles SET permissions = array_remove(permissions, 'stats.view')"
    )
    await client.next(QueueUnwatched)

    await QueuePbx(small_desk).enter("c1")
    await nothing_within(client.next(QueueChanged), 0.4)
    assert (await small_desk.http(who).get("/v1/telephony/queues")).status_code == 403


async def test_a_failed_watch_restores_no_watch_that_is_no_longer_allowed(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permission was lost while the command ran: the watch before it ends."""
    client, _ = await watching(small_desk, calls=True)
    node = small_desk.nodes[0].node
    (session,) = node.sessions
    assert session.context is not None
    identity = session.context.identity
    less = replace(identity, permissions=identity.permissions - {"calls.view_all"})

    async def lose(*_: Any) -> None:
        session.update_identity(less)
        raise DatabaseUnavailable

    monkeypatch.setattr(wallboard, "snapshots", lose)

    asked = client.request(QueueWatch(queues="all"))
    assert await refused(asked) == "database.unavailable"
    await client.next(QueueUnwatched)


async def test_an_invalid_watch_is_refused_and_changes_nothing(small_desk: Desk) -> None:
    """Names that cannot be stored, unknown zones, too many; the old watch continues."""
    client, _ = await watching(small_desk, [SALES])
    bad: list[tuple[dict[str, Any], str]] = [
        ({"queues": ["a\0b"]}, "command.invalid"),
        ({"queues": [""]}, "command.invalid"),
        ({"queues": ["x" * 201]}, "command.invalid"),
        ({"queues": [str(number) for number in range(201)]}, "command.invalid"),
        ({"queues": "some"}, "command.invalid"),
        ({"queues": [1]}, "command.invalid"),
        ({"queues": [SALES], "tz": "Europe/Kiew"}, "command.invalid"),
        ({"queues": [SALES], "tz": "Europe"}, "command.invalid"),
        ({"queues": [SALES], "tz": "../../etc/passwd"}, "command.invalid"),
        ({"queues": [SALES], "agents": 1}, "command.invalid"),
    ]
    for asked, code in bad:
        assert await refused(client.request(QueueWatch(**asked))) == code, asked
    http = small_desk.http(await supervisor(small_desk))
    for path in ("queues?tz=Mars", "queues?limit=101", "queues?after=%00", "agents?after=-1"):
        assert (await http.get(f"/v1/telephony/{path}")).status_code == 422, path

    await QueuePbx(small_desk).enter("c1")

    assert (await until(client, lambda queue: queue.waiting == 1)).queue == SALES
    ended: QueueWatched = await client.request(QueueWatch(queues=[]))
    assert ended.queues == []
    await QueuePbx(small_desk).enter("c2", SALES)
    await nothing_within(client.next(QueueChanged), 0.4)


async def test_lists_are_paged_and_each_queue_and_agent_stands_once(small_desk: Desk) -> None:
    """By name and by id, with cursors."""
    pbx = QueuePbx(small_desk)
    for queue in ("zulu", "alpha", "Kyiv", "київ"):
        await pbx.agent("login", queue=queue)
    http = small_desk.http(await supervisor(small_desk))

    async def all_of(path: str, name: str, key: str, size: int) -> list[Any]:
        seen: list[Any] = []
        after: Any = ""
        while after is not None:
            asked = {"limit": size, **({"after": after} if after else {})}
            answer = (await http.get(f"/v1/telephony/{path}", params=asked)).json()
            seen += [one[key] for one in answer[name]]
            after = answer["next"]
        return seen

    assert await all_of("queues", "queues", "queue", 2) == ["Kyiv", "alpha", "zulu", "київ"]
    agents = await all_of("agents", "agents", "employee_id", 5)
    assert agents == sorted(set(agents))
    assert len(agents) == 17


async def test_a_change_whose_announcement_was_lost_is_seen(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker died after its COMMIT, or the bus lost news: the node reads the database."""
    monkeypatch.setattr(queue_watches, "READ_ALL_EVERY", 1)
    client, _ = await watching(small_desk, [SALES])
    pbx = QueuePbx(small_desk)
    for node in small_desk.nodes:
        monkeypatch.setitem(node.node.delivery._by_kind, "queues", lambda _: None)

    await pbx.enter("c1")

    assert (await until(client, lambda queue: queue.waiting == 1)).today.offered == 1


async def test_waiting_too_long_counts_as_soon_as_it_is_too_long(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service level falls when the threshold passes, due to time alone."""
    monkeypatch.setattr(wallboard, "THRESHOLD_MS", 1_500)
    client, _ = await watching(small_desk, [SALES], tz="Asia/Kathmandu")
    pbx = QueuePbx(small_desk)

    await pbx.enter("c1", at=datetime.now(UTC))

    waiting = await until(client, lambda queue: queue.waiting == 1)
    late = await until(client, lambda queue: queue.today.service_level.value is not None)
    assert waiting.today.service_level.value is None
    assert (late.waiting, late.today.service_level.value) == (1, 0.0)
    midnight = late.today.since.astimezone(UTC)
    assert (midnight.hour, midnight.minute) == (18, 15)


async def test_without_watchers_nothing_is_read(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last watcher has left, no node reads queues for changed calls."""
    reads: list[Any] = []
    client, _ = await watching(small_desk, agents=True, calls=True)
    await client.close()
    await eventually(lambda: not small_desk.nodes[0].node.sessions)
    monkeypatch.setattr(agents, "read", lambda *asked, **_: reads.append(asked))
    pbx = QueuePbx(small_desk)

    await pbx.enter("c1")
    await pbx.ring("c1")

    await nothing_within(eventually(lambda: reads), 0.3)
    assert await small_desk.sql("SELECT FROM realtime.queue_stints WHERE queue = $1", SALES)
