"""Logs of every process: one line an event, as key=value, or as JSON for machines.

gateway.cli ─▶ configure. The gateway logs through structlog; ingest, presence, the migrations and
all libraries log through the standard library. Both end in one format on stderr, which all workers
share: a line is one write(2), and short enough to stay whole in a pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from gateway.ops.redaction import redact_fields

OURS = ("gateway", "ingest", "presence")
"""Packages that log at the level asked for. Libraries log warnings and errors only: at level info
they write several lines for each request and connection."""


LONGEST = 1_000
"""Characters of a field's text."""
LONGEST_TRACE = 2_500
"""Characters of a traceback; its end says most. A pipe keeps 4,096 bytes together (PIPE_BUF)."""


class _NamedLogger(structlog.PrintLogger):
    """Writes lines, and knows for which module: structlog's own logger forgets it."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        self.name = name

    def msg(self, message: str) -> None:
        """Write a line."""
        _write_line(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class _LineHandler(logging.Handler):
    """Writes the lines of the standard library's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _write_line(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler: a line that cannot be made ends nothing
            self.handleError(record)


def _write_line(line: str) -> None:
    """Write a line to stderr, all at once: lines of other processes come before or after it."""
    left = memoryview(f"{line}\n".encode(errors="backslashreplace"))
    with contextlib.suppress(OSError):  # nobody reads: that must not stop what is logged
        while left:
            left = left[os.write(sys.stderr.fileno(), left) :]


def _append_to_files() -> None:
    """Let each write to a file go to its end, wherever other processes have written meanwhile."""
    with contextlib.suppress(OSError, ValueError):
        fd = sys.stderr.fileno()
        if stat.S_ISREG(os.fstat(fd).st_mode):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)


def _shortened(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in fields.items():
        if name == "exception" and isinstance(value, str) and len(value) > LONGEST_TRACE:
            fields[name] = f"…{value[-LONGEST_TRACE:]}"
        elif isinstance(value, str) and name != "exception" and len(value) > LONGEST:
            fields[name] = f"{value[:LONGEST]}…"
    return fields


def configure(*, level: str, json: bool) -> None:
    """Send the logs of this process to stderr, in one format, from this level on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if json
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    )
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            redact_fields,
            _shortened,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_NamedLogger,
        cache_logger_on_first_use=True,
    )
    _append_to_files()
    handler = _LineHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_fields,
                _shortened,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    for package in OURS:
        logging.getLogger(package).setLevel(threshold)


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=str).decode()
