"""The setting of the audit: how long it is kept. gateway.settings ─▶ here."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AuditSettings(BaseSettings):
    """What an operator can set about the audit."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    audit_months: int = Field(default=0, ge=0, le=1_200)
    """Age in whole months at which rows of `realtime.audit` are dropped. 0: they are kept for
    ever."""
