"""Errors of embedded servers; each message says what to do."""

from __future__ import annotations


class EmbeddedError(RuntimeError):
    """An embedded server could not be started."""


class NoBinaries(EmbeddedError):
    """No suitable server program was found."""


class AlreadyRunning(EmbeddedError):
    """Another process owns this state directory."""


class DidNotStart(EmbeddedError):
    """The server ended while starting, or did not answer in time."""
