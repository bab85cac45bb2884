"""The form of the keys of service accounts, and that no log shows their secret."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gateway.auth import service_keys
from gateway.ops.redaction import redact

KEY = service_keys.make_key()


def test_a_key_names_itself_and_is_made_once() -> None:
    """Its id stands in it, its hash is that of all of it, and no two are alike."""
    made = [service_keys.make_key() for _ in range(50)]

    assert len({one.key for one in made}) == len({one.key_id for one in made}) == 50
    for one in made:
        assert service_keys.key_id_of(one.key) == one.key_id
        assert service_keys.key_hash(one.key) == one.key_hash
        assert len(one.key_hash) == 32
        assert service_keys.is_service_key(one.key)


def test_a_key_that_was_copied_wrongly_is_none() -> None:
    """Every character counts: each of them changed, left out or doubled is noticed."""
    for place in range(len(KEY.key)):
        before, at, after = KEY.key[:place], KEY.key[place], KEY.key[place + 1 :]
        other = "b" if at == "a" else "a"
        for wrong in (before + other + after, before + after, before + at + at + after):
            assert service_keys.key_id_of(wrong) is None, place


@pytest.mark.parametrize("text", [
    "", "gw_", "gw_x", KEY.key + "\n", " " + KEY.key, KEY.key[:-1] + "é", KEY.key + "\0",
    "gw_" + "0" * 10 + "_" + "0" * 49, "x" * 10_000, KEY.key.upper(),
], ids=range(10))  # fmt: skip
def test_other_text_is_no_key(text: str) -> None:
    """However it looks."""
    assert service_keys.key_id_of(text) is None


@pytest.mark.parametrize("text", [
    KEY.key, f"Bearer {KEY.key}", f"x{KEY.key}", f"%20{KEY.key},{KEY.key}", KEY.key[:30],
    KEY.key + "abc", f"['{KEY.key}']",
], ids=range(7))  # fmt: skip
def test_a_secret_is_redacted_wherever_it_stands(text: str) -> None:
    """What names the key stays."""
    shown = redact(text)

    assert KEY.key[14:30] not in shown
    assert f"gw_{KEY.key_id}_…" in shown


def test_other_text_is_not_redacted() -> None:
    """Names that begin alike stay as they are."""
    for text in ("gw_x", "gw_messages_created", f"gw_{KEY.key_id}_…", "gw_0123456789"):
        assert redact(text) == text


LOG = """
import logging, sys, structlog
from gateway.ops import logs
logs.configure(level="info", json=True)
key = sys.argv[1]
structlog.get_logger("gateway.x").info("said", token=key, headers={"Authorization": key})
structlog.get_logger("gateway.x").info("long " + "x" * 970 + key)
logging.getLogger("gateway.y").warning("of %s", key)
try:
    raise ValueError(key)
except ValueError:
    structlog.get_logger("gateway.x").exception("failed")
    logging.getLogger("ingest.z").exception("failed")
"""


def test_no_log_line_shows_a_secret() -> None:
    """In fields of any type, in messages of both kinds of loggers, in tracebacks, cut or whole."""
    ran = subprocess.run(
        [sys.executable, "-c", LOG, KEY.key], capture_output=True, text=True, check=True
    )

    written = [json.loads(line) for line in ran.stderr.splitlines()]
    assert len(written) == 5
    assert all(KEY.key[14:20] not in line for line in ran.stderr.splitlines())
    assert ran.stderr.count(f"gw_{KEY.key_id}_") >= 5
