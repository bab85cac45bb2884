"""The settings of events that the CRM publishes. gateway.settings ─▶ here."""

from __future__ import annotations

import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

KIND = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class EventSettings(BaseSettings):
    """What an operator can set about events."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    event_topics: dict[str, str] = Field(default_factory=dict)
    """Permissions with which an employee may watch all topics of a kind, as JSON:
    `{"work_order": "work_orders.view"}` for `crm:work_order:…`. Other topics may be watched by whom
    the view `crm.topic_readers` names."""
    event_poll_s: float = Field(default=0.5, ge=0.05, le=10)
    """Longest time in seconds from the COMMIT of `realtime.publish` until its event is delivered.
    Lower it for less delay; each worker with the role `background` reads an index so often."""

    max_events_bytes: int = Field(default=1_048_576, ge=1_024, le=2**26)
    """Largest body of POST /v1/events, in bytes; a larger one is answered with 413. Raise it for
    batches of many people and large payloads."""

    @field_validator("event_topics")
    @classmethod
    def _are_kinds(cls, value: dict[str, str]) -> dict[str, str]:
        for kind, permission in value.items():
            if not KIND.fullmatch(kind) or not permission:
                raise ValueError("must be kinds of letters, digits and _, each with a permission")
        return value
