# ruff: noqa: RUF001 - letters that look alike are the subject
"""PostgreSQL makes the same search words as the gateway, and old messages get them as well."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.db import MIGRATIONS, Conn, connect, migrate
from gateway.search_words import search_words
from tests.support.servers import at
from tests.support.unicode_blocks import code_points, is_letter, is_mark, one_of_each_block

SENTENCES = [
    "Доброго дня! Рахунок № 17 — «Світанок», ЄДРПОУ 12345678;",
    "п'ять, п’ять… ok 👍🏻 ☎️ 12:30\u00a0год.",
    "ЇЖАК Ґанок ЩЕ Ёлка ЎЗБЕК ЃЌ Ѝ їжак ґанок ёлка", "I ı İ ISIKLAR", "ЁЂЃЄЅІЇЈЉЊЋЌЍЎЏ", "",
    "x" * 70 + " " + "щ" * 64, "щ" * 65 + "é", "   ", "…", "😀x\u200dy",
    "e" + "\u0301\u0316" * 300 + "\u0344\u0f73" * 300 + "х", "ﷺ" * 30,
]  # fmt: skip


async def compare(conn: Conn, texts: list[str]) -> None:
    rows = await conn.fetch(
        "SELECT text, realtime.search_words(text) AS words FROM unnest($1::text[]) AS text", texts
    )
    for row in rows:
        assert row["words"].split() == search_words(row["text"]), ascii(row["text"])


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Conn]:
    connection = await connect(database, application_name="test")
    yield connection
    await connection.close()


async def test_the_database_makes_the_same_words(conn: Conn) -> None:
    """Of members of every block, of ordinary sentences, and of what is hard."""
    chars = one_of_each_block(lambda _: True)
    chars += one_of_each_block(is_letter, most=2) + one_of_each_block(is_mark, most=2)

    await compare(conn, SENTENCES + [f"a{char}b" for char in chars])


@pytest.mark.slow
async def test_the_database_makes_the_same_words_of_every_character(conn: Conn) -> None:
    """All of Unicode that this Python knows."""
    chars = list(code_points())
    for start in range(0, len(chars), 5_000):
        await compare(conn, [f"a{char}b" for char in chars[start : start + 5_000]])


async def test_the_locale_does_not_count(conn: Conn, postgres: str) -> None:
    """A database of locale C, whose lower() knows ASCII only, makes the same words."""
    function = await conn.fetchval(
        "SELECT pg_get_functiondef('realtime.search_words(text)'::regprocedure)"
    )
    await conn.execute("CREATE DATABASE locale_c LOCALE 'C' ENCODING 'UTF8' TEMPLATE template0")
    try:
        other = await connect(at(postgres, "locale_c"), application_name="test")
        try:
            await other.execute("CREATE SCHEMA realtime")
            await other.execute(function)
            await compare(other, SENTENCES + one_of_each_block(is_letter, most=2))
        finally:
            await other.close()
    finally:
        await conn.execute("DROP DATABASE locale_c WITH (FORCE)")


async def test_old_messages_are_found_by_new_words(empty_database: str, tmp_path: Path) -> None:
    """The index is made anew while messages are written; what was there before is found then."""
    conn = await connect(empty_database, application_name="test")
    try:
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name < "0043":
                shutil.copy(path, tmp_path)
        await migrate(conn, directory=tmp_path)
        await conn.execute("INSERT INTO realtime.conversations (kind) VALUES ('group')")
        await write(conn, "Großstraße Işıklar مُحَمَّد", first=1)
        assert await found(conn, "GROSSSTRASSE") == 0

        writing = asyncio.Event()
        writer = asyncio.create_task(write_until(empty_database, writing))
        assert "0044_search_words_index.sql" in await migrate(conn)
        writing.set()
        written = await writer

        for asked in ("GROSSSTRASSE", "ISIKLAR", "محمد"):
            assert await found(conn, asked) == 100
        assert written > 0
        assert await found(conn, "NEUE STRASSE") == written
    finally:
        await conn.close()


async def write(conn: Conn, body: str, *, first: int, count: int = 100) -> None:
    await conn.execute(
        """
        INSERT INTO realtime.messages (conversation_id, seq, sender_id, body, change, created_at)
        SELECT 1, n, 1, $1, n, now() FROM generate_series($2::int, $2::int + $3::int - 1) AS n
        """,
        body, first, count,
    )  # fmt: skip


async def write_until(dsn: str, done: asyncio.Event) -> int:
    """Store messages one by one, as many as there is time for; return how many."""
    conn: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(dsn)
    written = 0
    try:
        while not done.is_set() or not written:
            await write(conn, "neue Straße", first=1_000 + written, count=1)
            written += 1
    finally:
        await conn.close()
    return written


async def found(conn: Conn, text: str) -> int:
    """Return how many messages the index finds; not the table, row by row."""
    async with conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        count: int = await conn.fetchval(
            """
            SELECT count(*)
              FROM realtime.messages AS m
             WHERE realtime.search_key(m.body, m.conversation_id, m.sender_id, m.attachments,
                                       m.created_at)
                   @@ replace(realtime.search_words($1), ' ', ' & ')::tsquery
               AND m.state < 2 AND m.kind = 'text'
            """,
            text,
        )
    return count
