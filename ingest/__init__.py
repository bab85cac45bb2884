"""From PBX to database: events of a PBX become calls, stored exactly once, in any order of arrival.

    async with Pipeline(pool, announce=publish_calls) as pipeline:
        receipt = await pipeline.submit(await read_recording("l01.jsonl.gz", source="pbx"))

It depends on asyncpg, and on nothing of the program that embeds it. docs/telephony.md describes
the events, ingest/pipeline.py the route that they take.
"""

from ingest.conn import AWAY_ERRORS
from ingest.connectors.ami import AmiLink
from ingest.connectors.esl import EslLink
from ingest.connectors.link import LinkTiming, PbxAddress, PbxLink
from ingest.connectors.live import Connectors, PbxConnection
from ingest.connectors.signature import InvalidSignature, is_webhook_secret, sign, verify
from ingest.connectors.twilio_signature import sign_twilio, verify_twilio
from ingest.fold.agent_marks import AGENT_EVENTS, ALL_QUEUES, QueueState, TelephoneMarks
from ingest.fold.fold import fold, group_by_call
from ingest.metrics import IngestMetrics
from ingest.model.call_parts import FEW as FEW_PARTS
from ingest.model.call_parts import SHOWN as SHOWN_PARTS
from ingest.model.call_parts import CondensedCall, PartsChoice, condense, count_parts
from ingest.model.call_state import (
    CallChange,
    CallState,
    LegState,
    ParkingState,
    RecordingState,
    StintState,
    TransferState,
)
from ingest.model.events import CallEvent, shift
from ingest.model.rebuild_progress import RebuildProgress
from ingest.model.receipt import Receipt, RejectedItem
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from ingest.normalise.freeswitch import FreeswitchNormaliser
from ingest.normalise.numbers import ANONYMOUS, REGIONS, by_last_digits, e164, read_number
from ingest.normalise.twilio import twilio_events
from ingest.normalise.twilio_fields import InvalidCallback
from ingest.normalise.webhook import EventReader, ParsedEvents, parse_events
from ingest.pipeline import Pipeline
from ingest.queries import condensed_calls, partitions
from ingest.queries.condensed_calls import load_condensed
from ingest.queries.partitions import PartitionedTable
from ingest.settings import IngestSettings
from ingest.storing.agent_pauses import AgentChange
from ingest.storing.batcher import Busy, Closed, IngestUnavailable, TooManyEvents
from ingest.storing.rejects import RejectedInput
from ingest.storing.sessions import load_calls
from ingest.upkeep.partitions import PartitionMonth, maintain_table
from ingest.upkeep.rebuild import rebuild
from ingest.upkeep.replay import read_recording

__all__ = [
    "AGENT_EVENTS",
    "ALL_QUEUES",
    "ANONYMOUS",
    "AWAY_ERRORS",
    "FEW_PARTS",
    "REGIONS",
    "SHOWN_PARTS",
    "AgentChange",
    "AmiLink",
    "AsteriskDialect",
    "AsteriskNormaliser",
    "Busy",
    "CallChange",
    "CallEvent",
    "CallState",
    "Closed",
    "CondensedCall",
    "Connectors",
    "EslLink",
    "EventReader",
    "FreeswitchNormaliser",
    "IngestMetrics",
    "IngestSettings",
    "IngestUnavailable",
    "InvalidCallback",
    "InvalidSignature",
    "LegState",
    "LinkTiming",
    "ParkingState",
    "ParsedEvents",
    "PartitionMonth",
    "PartitionedTable",
    "PartsChoice",
    "PbxAddress",
    "PbxConnection",
    "PbxLink",
    "Pipeline",
    "QueueState",
    "RebuildProgress",
    "Receipt",
    "RecordingState",
    "RejectedInput",
    "RejectedItem",
    "StintState",
    "TelephoneMarks",
    "TooManyEvents",
    "TransferState",
    "by_last_digits",
    "condense",
    "condensed_calls",
    "count_parts",
    "e164",
    "fold",
    "group_by_call",
    "is_webhook_secret",
    "load_calls",
    "load_condensed",
    "maintain_table",
    "parse_events",
    "partitions",
    "read_number",
    "read_recording",
    "rebuild",
    "shift",
    "sign",
    "sign_twilio",
    "twilio_events",
    "verify",
    "verify_twilio",
]
