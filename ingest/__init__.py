"""From PBX to database: whatever a PBX says becomes calls, exactly once and in any order.

    async with Pipeline(pool, announce=tell_the_agents) as pipeline:
        receipt = await pipeline.submit(await events_of("l01.jsonl.gz", source="pbx"))

Knows asyncpg, and nothing of the program that embeds it.
"""

from ingest.batch import Busy, Closed, Receipt, Rejected, TooManyEvents, Unavailable
from ingest.connectors.signature import SignatureInvalid, sign, verify
from ingest.events import CallEvent, shift
from ingest.fold import fold, group
from ingest.metrics import IngestMetrics
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from ingest.normalise.numbers import e164
from ingest.normalise.webhook import Parsed, parse_events
from ingest.pipeline import Pipeline
from ingest.replay import events_of
from ingest.sessions import load_calls
from ingest.settings import IngestSettings
from ingest.state import CallChange, CallState, LegState, StintState

__all__ = [
    "AsteriskDialect",
    "AsteriskNormaliser",
    "Busy",
    "CallChange",
    "CallEvent",
    "CallState",
    "Closed",
    "IngestMetrics",
    "IngestSettings",
    "LegState",
    "Parsed",
    "Pipeline",
    "Receipt",
    "Rejected",
    "SignatureInvalid",
    "StintState",
    "TooManyEvents",
    "Unavailable",
    "e164",
    "events_of",
    "fold",
    "group",
    "load_calls",
    "parse_events",
    "shift",
    "sign",
    "verify",
]
