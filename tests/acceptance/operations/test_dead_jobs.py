"""Jobs that failed for good: seen, ordered again and given up, by REST and by the command line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import typer

from gateway.cli import jobs as command
from tests.support.desk import DIRECTOR, OKSANA, Desk, eventually

DEAD = "/v1/admin/jobs/dead"


async def bury(desk: Desk, *kinds: str) -> list[int]:
    """Let jobs of these kinds be dead."""
    rows = await desk.sql(
        "INSERT INTO realtime.dead_jobs"
        " (error_code, queue, kind, created_at, attempts, lost, payload)"
        " SELECT 'tests.failed', 'upkeep', kind, now(), 8, 0, '{\"id\": 5}'::json"
        " FROM unnest($1::text[]) AS kind RETURNING id",
        list(kinds),
    )
    return [row["id"] for row in rows]


async def acts(desk: Desk) -> list[tuple[str, int | None, str]]:
    rows = await desk.sql("SELECT act, actor_id, details FROM realtime.audit ORDER BY id")
    return [(row["act"], row["actor_id"], row["details"]) for row in rows]


async def test_who_may_sees_dead_jobs_and_orders_them_again(small_desk: Desk) -> None:
    """Page by page; each is ordered once, noted, and runs."""
    first, second, third = await bury(
        small_desk, "tests.other", "scheduled.forget", "scheduled.forget"
    )
    director = small_desk.http(DIRECTOR)

    page = (await director.get(DEAD, params={"limit": 2})).json()
    assert [one["id"] for one in page["jobs"]] == [third, second]
    assert page["jobs"][0]["payload"] == {"id": 5}
    rest = (await director.get(DEAD, params={"before": page["next"]})).json()
    assert ([one["id"] for one in rest["jobs"]], rest["next"]) == ([first], None)
    of_kind = (await director.get(DEAD, params={"kind": "tests.other"})).json()
    assert [one["kind"] for one in of_kind["jobs"]] == ["tests.other"]

    answers = await asyncio.gather(*(director.post(f"{DEAD}/{second}/retry") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    assert {answer.json().get("kind") for answer in answers} == {"scheduled.forget", None}
    assert await acts(small_desk) == [
        ("job.retry", DIRECTOR, f'{{"kind": "scheduled.forget", "dead_id": {second}}}')
    ]
    jobs = small_desk.nodes[0].app.state.gateway.jobs
    await eventually(lambda: jobs.seconds["scheduled.forget", "done"].count >= 1)


@pytest.mark.parametrize(("path", "status"), [
    (f"{DEAD}?limit=0", 422), (f"{DEAD}?limit=101", 422), (f"{DEAD}?before=0", 422),
    (f"{DEAD}?kind=%00", 422), (f"{DEAD}?kind=x", 422),
])  # fmt: skip
async def test_a_bad_question_is_refused(small_desk: Desk, path: str, status: int) -> None:
    """As everywhere."""
    assert (await small_desk.http(DIRECTOR).get(path)).status_code == status


async def test_nobody_else_may(small_desk: Desk) -> None:
    """Neither without the permission nor without a token."""
    [dead] = await bury(small_desk, "tests.other")
    for http, status in ((small_desk.http(OKSANA), 403), (small_desk.http(), 401)):
        assert (await http.get(DEAD)).status_code == status
        assert (await http.post(f"{DEAD}/{dead}/retry")).status_code == status
    director = small_desk.http(DIRECTOR)
    assert (await director.post(f"{DEAD}/{dead + 1}/retry")).status_code == 404
    assert (await director.post(f"{DEAD}/0/retry")).status_code == 422
    assert len(await small_desk.sql("SELECT FROM realtime.dead_jobs")) == 1


async def test_no_worker_buries_jobs_that_another_may_run(small_desk: Desk) -> None:
    """This one deletes no old messages, and has jobs of retention left alone after a week."""
    await small_desk.sql(
        "INSERT INTO realtime.jobs (queue, kind, run_at)"
        " SELECT 'upkeep', kind, now() - interval '8 days'"
        " FROM unnest($1::text[]) AS kind",
        ["retention.delete", "a.b"],
    )
    await small_desk.nodes[0].app.state.gateway.jobs_upkeep.look(vacuum=True)

    left = await small_desk.sql("SELECT kind FROM realtime.jobs WHERE kind = ANY ($1)",
                                ["retention.delete", "a.b"])  # fmt: skip
    assert [row["kind"] for row in left] == ["retention.delete"]


async def test_the_command_line_does_the_same(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`gateway jobs list|dead|retry|discard`, by id or by kind."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", small_desk.database)
    one, two, *more = await bury(small_desk, "a.b", "a.b", *(["c.d"] * 3))

    async def run(how: Any, *arguments: Any, **options: Any) -> list[str]:
        await asyncio.to_thread(how, *arguments, **options)
        return capsys.readouterr().out.splitlines()

    listed = await run(command.list_dead, kind=None, limit=4)
    assert [line.split()[0] for line in listed] == ["id", *map(str, [*reversed(more), two])]
    assert '{"id":5}' in listed[1]
    assert await run(command.retry, [one], kind=None) == [f"{one}: a.b ordered again."]
    assert await run(command.discard, [], kind="c.d") == [
        f"{dead}: c.d discarded." for dead in reversed(more)
    ]
    kinds = [line.split() for line in await run(command.list_jobs)]
    assert ["upkeep", "a.b", "1", "0", "0"] in [row[:5] for row in kinds]
    for ids, kind, code in (([one], None, 1), ([], None, 2), ([two], "a.b", 2)):
        with pytest.raises(typer.Exit) as ended:
            await run(command.retry, ids, kind=kind)
        assert ended.value.exit_code == code

    assert [(act, actor) for act, actor, _ in await acts(small_desk)] == [
        ("job.retry", None), *[("job.discard", None)] * 3,
    ]  # fmt: skip
    sources = await small_desk.sql("SELECT DISTINCT source FROM realtime.audit")
    assert [row["source"] for row in sources] == ["cli"]
