"""The settings of what is shown of connections. gateway.settings ─▶ here."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class ConnectionSettings(BaseSettings):
    """What an operator can set about the list of connections."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    connection_addresses: bool = False
    """Set it to true to show client addresses in GET /v1/connections: to employees their own, to
    service accounts with `connections.manage` everybody's. An address is personal data."""
