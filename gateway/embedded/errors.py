"""Why an embedded server could not be had; each message says what to do."""

from __future__ import annotations


class EmbeddedError(RuntimeError):
    """An embedded server could not be had."""


class NoBinaries(EmbeddedError):
    """No fitting server program was found."""


class AlreadyRunning(EmbeddedError):
    """Another process owns this state directory."""


class DidNotStart(EmbeddedError):
    """The server was started and ended, or did not answer in time."""
