"""A recorded AMI connection: NAME.jsonl.gz ─▶ messages with the time they were received.

One JSON object a line, `{t, kind, raw}`: `t` in epoch seconds, `kind` banner, response, event,
partial (cut off by a lost connection) or mark (a note of the recorder), `raw` the exact text.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ingest.framing.ami_messages import AmiMessage, AmiParser
from ingest.model.clock import from_epoch


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    received_at: datetime
    message: AmiMessage


def read_messages(path: Path) -> Iterator[RecordedMessage]:
    """Yield the recording's messages, read by the parser of live connections."""
    parser = AmiParser()
    with gzip.open(path, "rb") as lines:
        for line in lines:
            # Not orjson: it refuses the lone surrogate that stands for a byte that is not UTF-8.
            item = json.loads(line)
            if item["kind"] == "mark":
                continue
            if item["kind"] == "banner":
                parser = AmiParser()
            received_at = from_epoch(item["t"])
            for message in parser.feed(item["raw"].encode("utf-8", "surrogateescape")):
                yield RecordedMessage(received_at, message)
