"""From PBX to database: whatever a PBX says becomes calls, exactly once and in any order.

    async with Pipeline(pool, announce=tell_the_agents) as pipeline:
        receipt = await pipeline.submit(await events_of("l01.jsonl.gz", source="pbx"))

Knows asyncpg, and nothing of the program that embeds it.
"""

from ingest.conn import AWAY_ERRORS
from ingest.connectors.ami import AmiLink
from ingest.connectors.esl import EslLink
from ingest.connectors.link import Address, Link, Timing
from ingest.connectors.live import Connection, Connectors
from ingest.connectors.signature import SignatureInvalid, sign, verify
from ingest.connectors.twilio_signature import sign_twilio, verify_twilio
from ingest.fold.fold import fold, group
from ingest.metrics import IngestMetrics
from ingest.model.call_state import CallChange, CallState, LegState, RecordingState, StintState
from ingest.model.events import CallEvent, shift
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from ingest.normalise.freeswitch import FreeswitchNormaliser
from ingest.normalise.numbers import REGIONS, by_tail, e164, is_withheld, without_appendix
from ingest.normalise.twilio import NotACallback, twilio_events
from ingest.normalise.webhook import EventReader, Parsed, parse_events
from ingest.pipeline import Pipeline
from ingest.settings import IngestSettings
from ingest.storing.agent_pauses import AgentChange
from ingest.storing.batcher import Busy, Closed, Receipt, Rejected, TooManyEvents, Unavailable
from ingest.storing.rejects import Refusal
from ingest.storing.sessions import load_calls
from ingest.upkeep.rebuild import Rebuilt, rebuild
from ingest.upkeep.replay import events_of

__all__ = [
    "AWAY_ERRORS",
    "REGIONS",
    "Address",
    "AgentChange",
    "AmiLink",
    "AsteriskDialect",
    "AsteriskNormaliser",
    "Busy",
    "CallChange",
    "CallEvent",
    "CallState",
    "Closed",
    "Connection",
    "Connectors",
    "EslLink",
    "EventReader",
    "FreeswitchNormaliser",
    "IngestMetrics",
    "IngestSettings",
    "LegState",
    "Link",
    "NotACallback",
    "Parsed",
    "Pipeline",
    "Rebuilt",
    "Receipt",
    "RecordingState",
    "Refusal",
    "Rejected",
    "SignatureInvalid",
    "StintState",
    "Timing",
    "TooManyEvents",
    "Unavailable",
    "by_tail",
    "e164",
    "events_of",
    "fold",
    "group",
    "is_withheld",
    "load_calls",
    "parse_events",
    "rebuild",
    "shift",
    "sign",
    "sign_twilio",
    "twilio_events",
    "verify",
    "verify_twilio",
    "without_appendix",
]
