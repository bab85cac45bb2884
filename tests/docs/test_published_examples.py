"""The worked examples of realtime.publish in docs/crm-contract.md run as they are printed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import asyncpg

from gateway.auth.permissions import AUDIT_READ
from gateway.protocol import EventPublished, TopicWatch
from tests.docs.pages import ROOT
from tests.support.desk import DIRECTOR, OKSANA, Desk, refused

PAGE = (ROOT / "docs" / "crm-contract.md").read_text(encoding="utf-8")
ENGINEER, MANAGER = 17, 3
PRINTED = "2027-03-01 09:00 Europe/Kyiv"


def blocks(heading: str) -> list[str]:
    """Return the SQL of one section."""
    section = PAGE.split(heading)[1]
    section = re.split(r"^##+ ", section, flags=re.MULTILINE)[0]
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


def to_come(sql: str) -> str:
    """Put the printed date into the future: the page is read in any year."""
    now = datetime.now(UTC)
    year = now.year + (now >= datetime(now.year, 3, 1, 7, tzinfo=UTC))
    assert PRINTED in sql
    return sql.replace(PRINTED, PRINTED.replace("2027", str(year)))


async def make_tables(conn: Any) -> None:
    """Make what the examples take for the CRM's tables."""
    await conn.execute(
        """
        CREATE TABLE public.tickets (id bigint PRIMARY KEY, engineer_id bigint, state text);
        CREATE TABLE public.deals (id bigint PRIMARY KEY, stage text, closed_at timestamptz);
        INSERT INTO public.tickets VALUES (1234, NULL, 'open');
        INSERT INTO public.deals VALUES (5, 'offer', NULL);
        """
    )


async def test_the_examples_of_publishing_do_what_they_say(empty_desk: Desk) -> None:
    """A work order reaches its engineer and its watchers; a reminder waits, and is taken back."""
    assigned, reminder, cancelled, *_ = blocks("## Publishing events: `realtime.publish`")
    [readers] = blocks("### `crm.topic_readers`")
    crm = await asyncpg.connect(empty_desk.database)
    await make_tables(crm)
    await crm.execute("DROP VIEW crm.topic_readers")
    view, index = readers.split(";\n\n")
    await crm.execute(view)
    await crm.execute(index)
    await empty_desk.start_node(event_topics={"work_order": AUDIT_READ})
    engineer, oksana, director = [
        await empty_desk.client(who) for who in (ENGINEER, OKSANA, DIRECTOR)
    ]
    watch = TopicWatch(topics=["crm:work_order:1234"])
    assert await refused(engineer.request(watch)) == "topic.not_found"
    await director.request(watch)

    await crm.execute(assigned)
    for client, addressed in ((engineer, True), (director, False)):
        heard = await client.next(EventPublished)
        assert (heard.event.type, heard.addressed) == ("work_order.assigned", addressed)
        assert heard.event.payload["title"] == "Work order 1234: replace the meter"
    await engineer.request(watch)
    assert await refused(oksana.request(watch)) == "topic.not_found"

    await crm.execute(to_come(reminder))
    waiting = await crm.fetch("SELECT users, deliver_at FROM realtime.events_outbox")
    assert [row["users"] for row in waiting] == [[MANAGER]]
    await crm.execute(cancelled)
    assert await crm.fetch("SELECT FROM realtime.events_outbox") == []
    assert await crm.fetchval("SELECT count(*) FROM realtime.events") == 1
    await crm.close()
