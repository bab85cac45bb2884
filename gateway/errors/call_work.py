"""No to a note, a disposition, a recording or a review of a call."""

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
    """This client_key was used before for a note with another text, or on another call."""

    code = "note.client_key_reused"
    http_status = 409


class RecordingNotFound(GatewayError):
    """There is no such recording of this call, or you may not hear it."""

    code = "recording.not_found"
    http_status = 404


class RecordingNotReady(GatewayError):
    """This recording has no link: it goes on, has failed, or nobody said where it is."""

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
    """There is no such review, or it is not yours to see."""

    code = "review.not_found"
    http_status = 404


class ReviewExists(GatewayError):
    """You have reviewed this agent's part of this call already."""

    code = "review.exists"
    http_status = 409


class ReviewOfOneself(GatewayError):
    """Nobody reviews themselves, or decides about a review of themselves."""

    code = "review.of_oneself"
    http_status = 403


class NotOnThisCall(GatewayError):
    """This employee had no part in this call."""

    code = "review.not_on_call"
    http_status = 409


class ReviewState(GatewayError):
    """The review is not in a state in which this can be done; the message says in which it is."""

    code = "review.wrong_state"
    http_status = 409
