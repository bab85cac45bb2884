"""docs/crm-contract.md says what gateway/crm/contract.py says, and its roles are enough."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from gateway.crm import VIEWS, CrmView
from gateway.db import migrate
from gateway.demo.install import CRM_SQL
from gateway.protocol import CallOffered, EventPublished, MessageCreated
from tests.docs.pages import ROOT
from tests.support.calls import ANSWERED, play, recorded
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.servers import dsn_name

PAGE = (ROOT / "docs" / "crm-contract.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|(?: ([\w, ]+))? \| ", re.MULTILINE)
NULLS = {(False, False): "", (True, False): "yes", (True, True): "yes, or no column"}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_table_of_a_view_is_its_declaration(view: CrmView) -> None:
    """Names, types and where NULL is allowed, in order."""
    section = PAGE.split(f"### `{view.full_name}`")[1].split("\n## ")[0].split("\n### ")[0]
    table = section.split("| column | type | null | meaning |\n|---|---|---|---|\n")[1]
    rows = table.split("\n\n")[0]

    declared = [(one.name, one.type, NULLS[one.null, one.optional]) for one in view.columns]
    assert ROW.findall(rows) == declared
    assert len(rows.splitlines()) == len(declared)


def test_the_page_says_what_is_off_without_a_view() -> None:
    """In the words of the log and of /readyz."""
    required = [view for view in VIEWS if view.required]
    table = PAGE.split("| view | off without it |\n|---|---|\n")[1].split("\n\n")[0]

    assert table.splitlines() == [f"| `{one.full_name}` | {one.needed_for} |" for one in required]


def blocks() -> tuple[str, str]:
    """Return what the page runs as the database's owner, and as the migrating role."""
    section = PAGE.split("## Roles and rights")[1].split("\n## ")[0]
    owner, migrating = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    return owner, migrating


@pytest.fixture
async def renamed(empty_database: str) -> AsyncIterator[Callable[[str], str]]:
    """Give a function that puts names of this test's own into SQL: roles belong to the server."""
    mark = uuid.uuid4().hex[:8]

    def rename(sql: str) -> str:
        own = re.sub(r"\bgateway(_migrate)?\b", rf"g{mark}\1", sql)
        return own.replace("DATABASE company", f'DATABASE "{dsn_name(empty_database)}"')

    yield rename
    conn = await asyncpg.connect(empty_database)
    made = await conn.fetch(
        "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", f"g{mark}"
    )
    for role in sorted((row["rolname"] for row in made), reverse=True):
        await conn.execute(f"DROP OWNED BY {role} CASCADE")
        await conn.execute(f"DROP ROLE {role}")
    await conn.close()


def as_role(dsn: str, role: str) -> str:
    """Return the DSN for another role."""
    return re.sub(r"://[^@/]*@", f"://{role}@", dsn)


@pytest.mark.slow
async def test_the_roles_of_the_page_are_enough(
    empty_database: str, redis_url: str, renamed: Callable[[str], str]
) -> None:
    """From zero: one role migrates, the other serves chats and calls, and alters no table."""
    before, after = (renamed(block) for block in blocks())
    serving = as_role(empty_database, renamed("gateway"))
    migrating = as_role(empty_database, renamed("gateway_migrate"))
    owner = await asyncpg.connect(empty_database)
    await owner.execute(before)
    assert await migrate(migrating)
    await run(migrating, after)
    await owner.execute(CRM_SQL.read_text(encoding="utf-8").replace("CREATE SCHEMA crm;", ""))
    await owner.close()

    desk = Desk(serving, redis_url)
    await desk.start_node()
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO)
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "Good morning")
    await petro.next(MessageCreated)
    await run(migrating, f"SELECT realtime.publish('lead.closed', ARRAY[{OKSANA}], key => 'k')")
    assert (await oksana.next(EventPublished)).event.key == "k"
    await play(desk, await recorded(ANSWERED))
    assert (await oksana.next(CallOffered)).call.customer is not None
    assert (await desk.http().get("/readyz")).json()["contract"] == {}
    await eventually(lambda: desk.sql("SELECT FROM pg_class WHERE relname ~ '^audit_20'"))
    await desk.close()

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(serving, "ALTER TABLE realtime.messages ADD COLUMN more text")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(serving, "SELECT FROM demo_crm.staff")
    await run(migrating, after)
    await run(migrating, "ALTER TABLE realtime.call_events ADD COLUMN more text")


async def run(dsn: str, sql: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(sql)
    finally:
        await conn.close()
