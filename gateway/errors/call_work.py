"""Refusals about notes, dispositions, recordings and reviews of calls."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class DispositionNotFound(GatewayError):
    """There is no such active disposition for calls of this direction."""

    code = "disposition.not_found"
    http_status = 404


class NoteNotFound(GatewayError):
    """There is no such note on this call, or it was deleted."""

    code = "note.not_found"
    http_status = 404


class TooManyNotes(GatewayError):
    """A call has at most 100 notes."""

    code = "note.too_many"
    http_status = 409


class NoteKeyReused(GatewayError):
    """This client_key was already used for another note or another call."""

    code = "note.client_key_reused"
    http_status = 409


class RecordingNotFound(GatewayError):
    """This call has no such recording, or you may not hear it."""

    code = "recording.not_found"
    http_status = 404


class RecordingNotReady(GatewayError):
    """This recording has no link: it is in progress, has failed, or its location is not known."""

    code = "recording.not_ready"
    http_status = 409


class ScorecardNotFound(GatewayError):
    """There is no such scorecard, or it is no longer used."""

    code = "scorecard.not_found"
    http_status = 404


class ScorecardOutdated(GatewayError):
    """This scorecard has a newer version: only the newest can be used."""

    code = "scorecard.outdated"
    http_status = 409


class ReviewNotFound(GatewayError):
    """There is no such review, or you may not see it."""

    code = "review.not_found"
    http_status = 404


class ReviewExists(GatewayError):
    """You have already reviewed this agent in this call."""

    code = "review.exists"
    http_status = 409


class ReviewOfOneself(GatewayError):
    """You cannot review yourself, or resolve a review of yourself."""

    code = "review.of_oneself"
    http_status = 403


class NotOnThisCall(GatewayError):
    """This employee did not take part in this call."""

    code = "review.not_on_call"
    http_status = 409


class ReviewState(GatewayError):
    """The state of the review does not allow this; the message names the state."""

    code = "review.wrong_state"
    http_status = 409
