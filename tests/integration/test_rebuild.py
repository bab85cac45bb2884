"""Calls folded again from their stored events: whatever was wrong in the rows is corrected."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db import Pool
from ingest import CallEvent, IngestSettings, Pipeline, RebuildProgress, rebuild, shift
from ingest.upkeep import restore as rebuilding
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.ingest_tools import (
    SETTINGS,
    RecordedAnnouncements,
    anonymous,
    delayed_commit,
    pause_event,
    stored_calls,
)

RECORDED = (
    "l03_abandon_while_ringing",
    "l07_queue_timeout_voicemail",
    "l10_blind_transfer_to_queue",
    "l22_queue_full_join_empty_leave_empty",
    "s05_sip_attended_transfer",
)
CORRUPTIONS = (
    "UPDATE realtime.call_sessions SET outcome = 'failed', talk_ms = 1 WHERE outcome = 'answered'",
    "DELETE FROM realtime.call_legs WHERE position = 1",
    "UPDATE realtime.call_legs SET ended_reason = 'lost' WHERE position = 0",
    "INSERT INTO realtime.queue_stints (call_id, position, queue, entered_at)"
    " SELECT id, 5, 'nowhere', started_at FROM realtime.call_sessions WHERE merged_into IS NULL",
    "DELETE FROM realtime.missed_calls",
    "UPDATE realtime.call_sessions SET did = NULL, ended_by = NULL, ended_by_extension = NULL,"
    " asked_extension = '1', ring_group = '1'",
    "UPDATE realtime.call_legs SET forwarded_from = '1'",
    "UPDATE realtime.call_sessions SET outcome = 'timeout', mailbox = NULL, message_left = NULL"
    " WHERE outcome = 'voicemail'",
    "UPDATE realtime.call_legs SET overlap_ms = NULL",
    "UPDATE realtime.call_sessions SET parked_ms = 1, parkings = NULL WHERE merged_into IS NULL",
)


async def snapshot(pool: Pool) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the calls, but for their versions and when they were written."""
    tables = {
        "call_sessions": "to_jsonb(t) - 'version' - 'updated_at'",
        "call_legs": "to_jsonb(t)",
        "queue_stints": "to_jsonb(t)",
        "missed_calls": "to_jsonb(t)",
    }
    return {
        table: [
            tuple(row)
            for row in await pool.fetch(f"SELECT {what}::text FROM realtime.{table} t ORDER BY 1")
        ]
        for table, what in tables.items()
    }


async def rebuilt(pool: Pool, **chosen: object) -> RebuildProgress:
    """Rebuild to the end, and return the last progress."""
    most = IngestSettings().max_call_events
    steps = rebuild(pool, max_call_events=most, **chosen)  # type: ignore[arg-type]
    return ([RebuildProgress()] + [step async for step in steps])[-1]


async def versions(pool: Pool) -> list[int]:
    rows = await pool.fetch("SELECT version FROM realtime.call_sessions ORDER BY id")
    return [row["version"] for row in rows]


async def marks(pool: Pool) -> list[dict[str, Any]]:
    """Return the marks of agents, without versions and times of writing."""
    rows = await pool.fetch(
        "SELECT to_jsonb(m) - 'version' - 'updated_at' AS mark FROM realtime.agent_marks AS m"
        " ORDER BY extension, queue"
    )
    return [row["mark"] for row in rows]


async def corrupt(pool: Pool) -> None:
    for statement in CORRUPTIONS:
        await pool.execute(statement)


async def filled(pool: Pool) -> None:
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        for name in RECORDED:
            await pipeline.submit(events_of_recording(name))


async def test_wrong_rows_come_right_and_right_ones_are_not_written(pool: Pool) -> None:
    """Outcomes, legs, stints, missed calls: as the live fold left them; the second run rests."""
    await filled(pool)
    before = await snapshot(pool)
    idle = await rebuilt(pool)
    old = await versions(pool)
    await corrupt(pool)

    first = await rebuilt(pool)
    after, raised = await snapshot(pool), await versions(pool)
    second = await rebuilt(pool)

    assert (idle.examined, idle.changed, idle.skipped) == (8, 0, 0)
    assert (first.examined, first.changed, first.skipped) == (8, 8, 0)
    assert after == before
    assert raised != old
    assert (second.examined, second.changed) == (8, 0)
    assert await versions(pool) == raised
    wanted = [call for name in RECORDED for call in calls_of(events_of_recording(name))]
    wanted.sort(key=lambda call: call.started_at)
    assert anonymous(await stored_calls(pool)) == anonymous(wanted)


async def test_only_a_missing_entry_in_the_list_of_missed_calls_is_put_back(pool: Pool) -> None:
    """The call itself was right: it is not written, and its version stays."""
    await filled(pool)
    before, old = await snapshot(pool), await versions(pool)
    await pool.execute("DELETE FROM realtime.missed_calls WHERE number_e164 = '+380501112233'")
    await pool.execute(
        "INSERT INTO realtime.missed_calls (call_id, source, outcome, started_at, ended_at)"
        " SELECT id, source, 'missed', started_at, ended_at FROM realtime.call_sessions"
        " WHERE outcome = 'answered' AND merged_into IS NULL LIMIT 1"
    )

    done = await rebuilt(pool)

    assert done.changed == 2
    assert await snapshot(pool) == before
    assert await versions(pool) == old


async def test_only_the_selected_calls_are_examined(pool: Pool) -> None:
    """By time and by PBX; a call whose events are gone stays as it is."""
    await filled(pool)
    calls = await stored_calls(pool)
    began: list[datetime] = [call.started_at for call in calls]
    await pool.execute("DELETE FROM realtime.call_events WHERE call_id = $1", calls[0].id)
    await pool.execute(
        "DELETE FROM realtime.call_events WHERE call_id = $1 AND occurred_at = $2",
        calls[1].id,
        calls[1].started_at,
    )
    await corrupt(pool)
    gone = [await pool.fetchval("SELECT outcome FROM realtime.call_sessions WHERE id = $1", c.id)
            for c in calls[:2]]  # fmt: skip

    assert (await rebuilt(pool, source="another")).examined == 0
    assert (await rebuilt(pool, since=began[-1] + timedelta(seconds=1))).examined == 0
    last = await rebuilt(pool, since=began[-1])
    rest = await rebuilt(pool, until=began[-1])

    assert (last.examined, last.changed, last.skipped) == (1, 1, 0)
    assert (rest.examined, rest.changed, rest.skipped) == (len(calls) - 1, len(calls) - 3, 2)
    assert gone == [
        await pool.fetchval("SELECT outcome FROM realtime.call_sessions WHERE id = $1", c.id)
        for c in calls[:2]
    ]


async def test_a_call_that_is_gone_comes_back_from_its_events(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its legs, stays and missed call, under its own id; what was merged stays merged."""
    monkeypatch.setattr(rebuilding, "SEARCHED_CALLS", 3)
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        for name in RECORDED:
            for event in events_of_recording(name):
                await pipeline.submit([event])
    before, old = await snapshot(pool), await versions(pool)
    assert await pool.fetchval("SELECT count(merged_into) FROM realtime.call_sessions") > 0
    await pool.execute("DELETE FROM realtime.call_sessions WHERE merged_into IS NULL")

    elsewhere = await rebuilt(pool, source="another")
    later = await rebuilt(pool, since=datetime.now(UTC))
    first = await rebuilt(pool)
    after = await snapshot(pool)
    second = await rebuilt(pool)
    for (row,) in (*before["call_sessions"], *after["call_sessions"]):
        del row["last_event_at"]  # live, it lags behind by up to half a day

    assert (elsewhere.changed, later.changed) == (0, 0)
    assert (first.examined, first.changed, first.restored, first.skipped) == (8, 8, 8, 0)
    assert after == before
    assert (second.examined, second.changed, second.restored) == (8, 0, 0)
    assert all(new > were for new, were in zip(await versions(pool), old, strict=True)
               if new != were)  # fmt: skip


async def test_only_what_is_still_gone_comes_back(pool: Pool, database: str) -> None:
    """Live ingest stored the call while it was waited for: it is not stored over that."""
    events = events_of_recording(RECORDED[0])
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(events)
    saved = await pool.fetchrow("SELECT * FROM realtime.call_sessions")
    assert saved is not None
    await pool.execute("DELETE FROM realtime.call_sessions")

    async with delayed_commit(database) as waiting:
        running = asyncio.create_task(rebuilt(pool))
        await waiting()
        await pool.execute(
            "INSERT INTO realtime.call_sessions SELECT * FROM"
            " jsonb_populate_record(null::realtime.call_sessions, $1)",
            {name: str(value) for name, value in saved.items() if value is not None},
        )
    done = await running

    assert (done.changed, done.restored) == (0, 0)


async def test_agents_marks_come_right(pool: Pool) -> None:
    """Logins and pauses as in their events; others stay; a second run changes nothing."""
    now = datetime.now(UTC) - timedelta(hours=1)

    def progress(what: str, minute: int, extension: str, **more: Any) -> CallEvent:
        at = now + timedelta(minutes=minute)
        return pause_event(type=f"agent.{what}", occurred_at=at, extension=extension, **more)

    events = [progress("login", 0, f"1{n:02}", queue="sales") for n in range(25)]
    events += [progress("paused", 1, "101", queue="sales", attrs={"reason": "lunch"})]
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(events)
    right = await marks(pool)
    await pool.execute("UPDATE realtime.agent_marks SET paused = NOT paused, reason = 'wrong'"
                       " WHERE extension = '101'")  # fmt: skip
    await pool.execute("UPDATE realtime.agent_marks SET logged_in = false WHERE extension > '110'")
    await pool.execute("DELETE FROM realtime.agent_marks WHERE extension = '102'")
    await pool.execute("INSERT INTO realtime.agent_marks (source, extension, queue, paused)"
                       " VALUES ('pbx', '900', 'sales', true)")  # fmt: skip

    elsewhere = await rebuilt(pool, source="another")
    first = await rebuilt(pool, source="pbx")
    after = await marks(pool)
    second = await rebuilt(pool)

    assert elsewhere.telephones == 0
    assert first.telephones == 2 + 14
    assert [mark for mark in after if mark["extension"] != "900"] == right
    assert [mark["paused"] for mark in after if mark["extension"] == "900"] == [True]
    assert (second.telephones, second.changed) == (0, 0)


async def test_it_takes_turns_with_live_ingest(pool: Pool, database: str) -> None:
    """It waits for a batch that is being stored, and the next batch folds on top of it."""
    events = events_of_recording(RECORDED[1])
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(events[: len(events) // 2])
        await pool.execute("UPDATE realtime.call_sessions SET queue = 'wrong'")

        async with delayed_commit(database) as waiting:
            rebuilding = asyncio.create_task(rebuilt(pool))
            await waiting()
            assert await pool.fetchval("SELECT queue FROM realtime.call_sessions") == "wrong"
        done = await rebuilding
        await pipeline.submit(events[len(events) // 2 :])

    assert done.changed == 1
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_the_command_tells_what_it_did(pool: Pool, database: str) -> None:
    """`gateway replay --rebuild`: how many were examined and changed; or what is wrong."""
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(shift(events_of_recording(RECORDED[0]), timedelta(days=-1)))
    await pool.execute("UPDATE realtime.call_sessions SET outcome = 'failed'")

    async def run(*words: str) -> tuple[int | None, str]:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "replay", "--rebuild", *words,
            env={**os.environ, "GATEWAY_DATABASE_URL": database, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        progress, _ = await running.communicate()
        return running.returncode, progress.decode()

    (code, progress), (wrong, why) = await asyncio.gather(run(), run("--since", "yesterday"))

    assert code == 0
    assert "1 calls examined, 1 changed, 0 skipped" in progress
    assert await pool.fetchval("SELECT outcome FROM realtime.call_sessions") == "abandoned"
    assert (wrong, "--since: a time with its UTC offset" in why) == (2, True)
