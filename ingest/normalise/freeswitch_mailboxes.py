"""Mailboxes in FreeSWITCH: read from a channel's last application and mod_voicemail's variables.

normalise.freeswitch ─▶ mailbox. They are known when the channel ends. CHANNEL_EXECUTE would tell
sooner, but FreeSWITCH would send it for every step of every dialplan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ingest.normalise.asterisk_dialect import shorten
from ingest.normalise.freeswitch_transfers import EventParts

APPLICATION = "voicemail"
LISTENS = ("check", "auth_only")
"""First words of its arguments when somebody listens to their messages, or signs in."""


def mailbox(fields: Mapping[str, str]) -> Iterator[EventParts]:
    """Return that this channel reached a mailbox, and whether it left a message there."""
    arguments = fields.get("variable_last_arg", "").split()
    last = fields.get("variable_last_app") == APPLICATION
    if last and arguments[:1] and arguments[0] in LISTENS:
        return
    left = bool(fields.get("variable_voicemail_message_len"))
    if not (left or last):
        return
    leg, account = fields.get("Unique-ID", ""), fields.get("variable_voicemail_account")
    if not account:
        account = arguments[2] if len(arguments) > 2 else ""
    yield "voicemail.started", leg, {"attrs": {"mailbox": shorten(account) or ""}}
    yield "voicemail.ended", leg, {"attrs": {"message": "left" if left else "none"}}
