"""A live Asterisk: its calls arrive, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.db import Pool
from ingest import (
    AmiLink,
    AsteriskNormaliser,
    CallEvent,
    Connectors,
    LinkTiming,
    PbxAddress,
    PbxConnection,
    Pipeline,
)
from ingest.connectors.link import ConnectionLost
from ingest.model.snapshot import PbxSnapshot
from ingest.normalise import asterisk_snapshot
from tests.fakes.asterisk import SECRET, USER, FakeAsterisk, Tape
from tests.support.desk import eventually
from tests.support.ingest_tools import (
    SETTINGS,
    RecordedAnnouncements,
    delayed_commit,
    pause_event,
    stored_calls,
)
from tests.support.tls import Authority

IMPATIENT = LinkTiming(
    connect_s=5.0, quiet_s=5.0, answer_s=5.0, back_off_s=0.01, back_off_max_s=0.05, refused_s=0.05,
    lease_s=15.0,
)  # fmt: skip


def connection(
    pbx: FakeAsterisk,
    timing: LinkTiming = IMPATIENT,
    *,
    source: str = "pbx",
    tls: ssl.SSLContext | None = None,
) -> PbxConnection:
    """Return how to connect to the PBX."""
    address = PbxAddress(host="127.0.0.1", port=pbx.port, user=USER, secret=SECRET, tls=tls)
    return PbxConnection(
        source, lambda: AmiLink(source, address, timing, AsteriskNormaliser(source)), timing
    )


@asynccontextmanager
async def listening(
    pool: Pool, announced: RecordedAnnouncements, *connections: PbxConnection, holder: str = "n1"
) -> AsyncIterator[Pipeline]:
    """Open a pipeline with live connections."""
    async with (
        Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline,
        Connectors(pool, pipeline, connections, holder=holder),
    ):
        yield pipeline


async def ended(pool: Pool) -> list[Any]:
    """Wait until there are calls and all of them are over."""

    async def over() -> list[Any]:
        calls = await stored_calls(pool)
        return calls if all(call.ended_at for call in calls) else []

    found: list[Any] = await eventually(over)
    return found


async def gaps(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM realtime.ingest_gaps"))


async def _holder(pool: Pool) -> int:
    """Return the backend that holds the source's lock."""
    return int(
        await pool.fetchval("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
    )


def statuses(announced: RecordedAnnouncements) -> list[str]:
    return list(dict.fromkeys(change.after.status for change in announced.changes))


async def test_a_call_arrives_as_it_happens(pool: Pool, announced: RecordedAnnouncements) -> None:
    """Ringing, talking, ended: each is announced when Asterisk says so."""
    tape = Tape("l01")
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(tape.until("AgentCalled"))
        await line.play(tape.until("Newstate"))
        await eventually(lambda: "ringing" in statuses(announced))
        await line.play(tape.until("AgentConnect") + tape.until("BridgeEnter"))
        await eventually(lambda: "talking" in statuses(announced))
        await line.play(tape.rest())
        (call,) = await ended(pool)

    assert (call.outcome, call.answered_extension) == ("answered", "101")
    assert call.number_e164 == "+380671234567"
    assert call.caller_name == "Ivan Petrenko"
    assert await gaps(pool) == 0


async def test_the_secret_never_travels_in_the_clear(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Without TLS the login answers a challenge."""
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()

    login = next(action for action in line.actions if action.get("Action") == "Login")
    assert login.get("AuthType") == "MD5"
    assert SECRET not in str([action.fields for action in line.actions])


async def test_a_wrong_password_is_logged_and_tried_again(
    pool: Pool, announced: RecordedAnnouncements, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator reads why; once the password is right, the connection comes by itself."""
    async with FakeAsterisk(secret="another") as pbx, listening(pool, announced, connection(pbx)):
        await eventually(lambda: len(pbx.connections) > 1)
        refusals = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        pbx.secret = SECRET
        await pbx.next_connection()

    assert (
        "pbx refused the sign-in: pbx=pbx reason=login of 'gateway': Authentication failed"
        in refusals
    )
    assert SECRET not in caplog.text


async def test_calls_that_ended_without_a_connection_end_as_lost(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """The connection breaks in mid-call; after it, no channel is left."""
    tape = Tape("l01")
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(tape.until("AgentConnect") + tape.until("BridgeEnter"))
        await eventually(lambda: "talking" in statuses(announced))
        line.disconnect()
        await pbx.next_connection()
        (call,) = await ended(pool)
        gap = await pool.fetchrow("SELECT * FROM realtime.ingest_gaps")

    assert {leg.ended_reason for leg in call.legs} == {"lost"}
    assert gap is not None
    assert gap["began_at"] < gap["ended_at"]
    assert call.ended_at == gap["began_at"]


async def test_a_pbx_that_never_says_how_things_are_leaves_a_gap(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Its events are still received; the gap is saved, and no call counts as lost."""
    tape = Tape("l01")
    timing = replace(IMPATIENT, snapshot_s=0.0)
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx, timing)):
        line = await pbx.next_connection()
        await line.play(tape.until("AgentConnect"))
        await eventually(lambda: "talking" in statuses(announced))
        pbx.silent_at = "CoreShowChannels"
        line.disconnect()
        line = await pbx.next_connection()
        await line.play(tape.rest())
        await eventually(lambda: "ended" in statuses(announced))
        await eventually(lambda: gaps(pool))
        (call,) = await stored_calls(pool)

    assert (call.status, call.outcome) == ("ended", "answered")
    assert {leg.ended_reason for leg in call.legs} == {"completed"}


async def test_what_goes_on_goes_on_after_a_gap(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """The answer fell into the gap; the snapshot shows it, and the call is not lost."""
    first, second = Tape("l34"), Tape("l34", connection=1)
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(first.rest())
        await eventually(lambda: "ringing" in statuses(announced))
        pbx.channels = second.channels
        line.disconnect()
        await pbx.next_connection()
        await eventually(lambda: "talking" in statuses(announced))
        (call,) = await stored_calls(pool)

    assert call.status == "talking"
    assert call.answered_extension == "101"
    assert [stint.outcome for stint in call.stints] == ["connected"]


async def test_calls_that_began_without_a_connection_appear(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """A first connection in the middle of calls: those talking and those waiting appear."""
    tape = Tape("l33")
    async with FakeAsterisk() as pbx:
        pbx.channels, pbx.entries = tape.channels, tape.entries
        async with listening(pool, announced, connection(pbx)):
            await pbx.next_connection()
            await eventually(lambda: len({c.after.id for c in announced.changes}) == 2)
            calls = await stored_calls(pool)

    assert sorted(call.status for call in calls) == ["talking", "waiting"]
    assert {call.number_e164 for call in calls} == {"+380671230001", "+380671230002"}
    (waiting,) = (call for call in calls if call.status == "waiting")
    assert [stint.queue for stint in waiting.stints] == ["sales"]


async def test_who_may_not_see_channels_loses_none(
    pool: Pool, announced: RecordedAnnouncements, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to list, no call counts as ended; the log names the missing right."""
    tape = Tape("l01")
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx)):
        pbx.channels = None
        line = await pbx.next_connection()
        await line.play(tape.until("AgentConnect"))
        await eventually(lambda: announced.changes)
        line.disconnect()
        again = await pbx.next_connection()
        await again.play(tape.rest())
        (call,) = await ended(pool)

    assert {leg.ended_reason for leg in call.legs} == {"completed"}
    assert "action=CoreShowChannels reason=Permission denied" in caplog.text


async def test_a_stranger_with_no_certificate_hears_no_secret(
    pool: Pool, announced: RecordedAnnouncements, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever answers in the PBX's place without a certificate we trust is not signed in to."""
    own, tls = Authority(tmp_path).papers(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own.cert, own.key)
    trusted = ssl.create_default_context()
    async with (
        FakeAsterisk(tls=tls) as pbx,
        listening(pool, announced, connection(pbx, tls=trusted)),
    ):
        await eventually(lambda: caplog.text.count("CERTIFICATE_VERIFY_FAILED") > 1)

    assert not pbx.connections


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\xff\0" * 1_000_000])
async def test_what_is_no_asterisk_is_left_alone(
    greeting: bytes, pool: Pool, announced: RecordedAnnouncements, caplog: pytest.LogCaptureFixture
) -> None:
    """Another service on the port, or noise without end: disconnected, and tried again."""
    async with FakeAsterisk(banner=greeting) as pbx, listening(pool, announced, connection(pbx)):
        await eventually(lambda: len(pbx.connections) > 1)

    assert "reason=the greeting is not Asterisk's" in caplog.text or "not AMI" in caplog.text


async def test_a_half_open_connection_is_noticed(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """It sends nothing and answers no ping: the gateway connects again, and stays connected."""
    timing = replace(IMPATIENT, quiet_s=0.05, answer_s=0.5)
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx, timing)):
        pbx.answers_pings = False
        await pbx.next_connection()
        line = await pbx.next_connection()
        pbx.answers_pings = True
        await eventually(lambda: sum(a.get("Action") == "Ping" for a in line.actions) >= 3)

    assert len(pbx.connections) == 2


@pytest.mark.parametrize(("every_s", "why"), [(0.02, "no answer to Filter"), (0.0, "too many")])
async def test_a_talking_asterisk_that_never_answers_is_given_up(
    every_s: float,
    why: str,
    pool: Pool,
    announced: RecordedAnnouncements,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The deadline is for the answer, whatever else arrives; a flood is cut off sooner."""
    timing = replace(IMPATIENT, connect_s=60.0 if every_s == 0 else 0.5)
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx, timing)):
        pbx.flood_data, pbx.flood_every_s = b"Event: FullyBooted\r\n\r\n" * 200, every_s
        pbx.floods_at = "Filter"
        await eventually(lambda: f"reason={why}" in caplog.text)
        pbx.floods_at = None
        await pbx.next_connection()


@pytest.mark.parametrize(
    "bound",
    [
        ("MAX_LISTED", 20, "more than 20 channels and waiting callers"),
        ("MAX_CHARACTERS", 300, "more than 300 characters"),
        ("MAX_MESSAGES", 20, "more than 20 messages"),
    ],
)
async def test_an_answer_that_does_not_end_is_given_up(
    bound: tuple[str, int, str],
    pool: Pool,
    announced: RecordedAnnouncements,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A snapshot is collected in memory up to a bound; the next attempt succeeds."""
    name, most, what = bound
    monkeypatch.setattr(asterisk_snapshot, name, most)
    async with FakeAsterisk() as pbx:
        pbx.channels = [
            {"Event": "CoreShowChannel", "Uniqueid": f"1700000000.{number}", "Channel": "PJSIP/1-1"}
            for number in range(21)
        ]
        async with listening(pool, announced, connection(pbx)):
            await eventually(lambda: f"reason=the snapshot is too long: {what}" in caplog.text)
            pbx.channels = []
            await pbx.next_connection()

    assert await pool.fetchval("SELECT count(*) FROM realtime.call_events") == 0


async def test_a_restarted_asterisk_is_found_again(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """It refuses connections for a while, comes back empty, and takes calls again."""
    before, after = Tape("l01"), Tape("l02")
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(before.until("AgentConnect"))
        await eventually(lambda: announced.changes)
        await pbx.stop()
        await pbx.start()
        line = await pbx.next_connection()
        await ended(pool)
        await line.play(after.rest())
        await eventually(lambda: len({change.after.id for change in announced.changes}) == 2)
        calls = await ended(pool)

    assert [call.legs[0].ended_reason for call in calls] == ["lost", "completed"]


async def test_two_nodes_never_listen_at_once(pool: Pool, announced: RecordedAnnouncements) -> None:
    """One has the lease; when it goes, the other takes over and no event is stored twice."""
    tape = Tape("l01")
    timing = replace(IMPATIENT, lease_s=1.5)
    async with FakeAsterisk() as pbx, AsyncExitStack() as first:
        await first.enter_async_context(
            listening(pool, announced, connection(pbx, timing), holder="n1")
        )
        line = await pbx.next_connection()
        async with listening(pool, announced, connection(pbx, timing), holder="n2"):
            await line.play(tape.until("AgentConnect"))
            await eventually(lambda: announced.changes)
            alone = len(pbx.connections)
            pbx.channels = None  # what is live is not the question here
            await first.aclose()
            line = await pbx.next_connection()
            holder = await pool.fetchval("SELECT holder FROM realtime.pbx_leases")
            await line.play(tape.rest())
            (call,) = await ended(pool)

    assert call.outcome == "answered"
    assert (alone, len(pbx.connections), holder) == (1, 2, "n2")


async def test_a_dead_nodes_lease_runs_out(pool: Pool, announced: RecordedAnnouncements) -> None:
    """A node that died without releasing it is replaced after its lease, not before."""
    timing = replace(IMPATIENT, lease_s=1.5)
    await pool.execute(
        "INSERT INTO realtime.pbx_leases VALUES ('pbx', 'dead', now() + interval '0.3 s', now())"
    )
    async with FakeAsterisk() as pbx, listening(pool, announced, connection(pbx, timing)):
        await pbx.next_connection()
        left = await pool.fetchrow("SELECT * FROM realtime.pbx_leases")
        await eventually(lambda: gaps(pool))

    assert left is not None
    assert left["holder"] == "n1"


async def test_a_node_whose_lease_was_taken_stops(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """It hangs up, stores nothing more, and waits for its turn."""
    timing = replace(IMPATIENT, lease_s=1.5)
    async with (
        FakeAsterisk() as pbx,
        listening(pool, announced, connection(pbx, timing)) as pipeline,
    ):
        await pbx.next_connection()
        await pool.execute(
            "UPDATE realtime.pbx_leases SET holder = 'n2', lease_until = now() + interval '1 h'"
        )
        await eventually(lambda: not pipeline.metrics.connected["pbx"])
        holder = await pool.fetchval("SELECT holder FROM realtime.pbx_leases")

    assert holder == "n2"
    assert len(pbx.connections) == 1


async def test_several_pbxs_are_listened_to_at_once(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Each under its own name; ids that both use are two calls."""
    tape = Tape("l01")
    async with FakeAsterisk() as kyiv, FakeAsterisk() as lviv:
        there = connection(kyiv, source="kyiv"), connection(lviv, source="lviv")
        async with listening(pool, announced, *there):
            lines = await asyncio.gather(kyiv.next_connection(), lviv.next_connection())
            data = tape.rest()
            await asyncio.gather(*(line.play(data) for line in lines))
            await eventually(
                lambda: {c.after.source for c in announced.changes} == {"kyiv", "lviv"}
            )
            calls = await ended(pool)

    assert sorted(call.source for call in calls) == ["kyiv", "lviv"]
    assert {call.outcome for call in calls} == {"answered"}


class Flood:
    """A PBX that sends as much as it can until its connection breaks."""

    def __init__(self, reads: int) -> None:
        self.left = reads

    async def open(self) -> None: ...

    async def request_snapshot(self) -> None: ...

    async def close(self) -> None: ...

    async def receive(self) -> list[Sequence[CallEvent] | PbxSnapshot]:
        if self.left == 0:
            raise ConnectionLost("enough")
        self.left -= 1
        return [[pause_event() for _ in range(100)]]


async def test_a_flood_waits_in_the_pbx(
    pool: Pool, announced: RecordedAnnouncements, database: str
) -> None:
    """While nothing can be stored the PBX is not read on; afterwards nothing is missing."""
    flood = Flood(reads=60)
    there = PbxConnection("pbx", lambda: flood, IMPATIENT, max_buffered_events=1_000)
    async with delayed_commit(database) as waiting, listening(pool, announced, there) as pipeline:
        await waiting()
        for _ in range(200):
            await asyncio.sleep(0)
        unread, held = flood.left, pipeline.waiting_events
        await pool.execute("SELECT pg_terminate_backend($1)", await _holder(pool))
        await eventually(lambda: pipeline.metrics.accepted == 6_000)

    assert unread >= 60 - (1_000 + 500 + 100) / 100
    assert held <= 600
