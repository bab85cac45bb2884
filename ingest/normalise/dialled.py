"""What was dialled: the number in the data of Asterisk's Dial() and FreeSWITCH's dial strings.

asterisk_facts, freeswitch ─▶ dialled_number, dialled_in, forwarded_to. A dial string also names the
trunk, and trunks are often named by a telephone number of ours: that is never what was dialled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.normalise.number_text import dialled_part

MIN_DIGITS = 3
MIN_LOCAL_DIGITS = 5
"""Of the name of a Local channel: fewer are an extension, which its name tells already."""
CHANNEL_NUMBER = re.compile(r"-[0-9a-f]+(?:;[12])?$")
LOCAL_EXTENSION = re.compile(rf"(?:^|-)(\+?[0-9]{{{MIN_LOCAL_DIGITS},}})#?$")
"""FreePBX dials `Local/FMGL-0507776655#@from-internal` for a number of a follow-me list."""
PREFIX = re.compile(r"(?:[wWpP,]|[*#][0-9]{1,3}[*#])+")
"""Pauses before the number, and codes such as `*31#`, which hides our own."""
URI = re.compile(r"(?:sips?|tel|h323):", re.IGNORECASE)
USER_IS_ACCOUNT = frozenset(("iax2", "iax"))
"""In `IAX2/user:password@peer/number`, what stands before the @ is an account."""
FREESWITCH_VARIABLES = re.compile(r"^(?:\{[^}]*\}|\[[^\]]*\]|<[^>]*>)+")
FREESWITCH_ENDS = re.compile(r"[,|%]|:_:")
"""Further destinations; behind a % the domain of a registered telephone."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """What a dial string says."""

    number: str | None = None
    """Digits with a + before them if there was one."""
    through: bool = False
    """The number was dialled through a channel that has another name: that is a trunk's."""


NOTHING = Dialled()


def dialled_in(dial_string: str, channel: str) -> Dialled:
    """Read Asterisk's DialString, with or without `technology/`, by which a channel was created.

    `trunk/number`, `number@trunk`, `g1/number`, `trunk/sip:number@host`; of several, joined by &,
    the one that names the channel.
    """
    technology, _, name = channel.partition("/")
    peer = CHANNEL_NUMBER.sub("", name)
    found = [
        one
        for part in re.split("[&,|]", dial_string)
        if (one := _resource(part, technology)) and (peer in part or "&" not in dial_string)
    ]
    return _in_resource(found[0], technology.lower(), peer) if found else NOTHING


def dialled_number(destination: str) -> str | None:
    """Read FreeSWITCH's destination: a number, or the end of `sofia/gateway/trunk/number`."""
    text = FREESWITCH_ENDS.split(FREESWITCH_VARIABLES.sub("", destination), maxsplit=1)[0]
    technology, _, rest = text.partition("/")
    if not rest:
        return destination
    if technology == "loopback":  # loopback/number/context/dialplan
        text = rest.partition("/")[0]
    return _digits(text.rpartition("/")[2]) or None


def forwarded_to(destination: str) -> str | None:
    """Read where a telephone forwards a call: `303`, `Local/303@internal`, `PJSIP/0671…@trunk`.

    Or a SIP contact: `<sip:303@10.0.0.5>`.
    """
    text = URI.sub("", destination.strip(" <>")).partition("@")[0].rpartition("/")[2]
    return _digits(text) or None


def _resource(part: str, technology: str) -> str:
    first, slash, rest = part.strip().partition("/")
    return rest if slash and first.lower() == technology.lower() else part.strip()


def _in_resource(resource: str, technology: str, peer: str) -> Dialled:
    name, slash, behind = resource.partition("/")
    if technology == "local":
        found = LOCAL_EXTENSION.search(name.partition("@")[0])
        return Dialled(found[1]) if found else NOTHING
    if slash:
        to = behind if URI.match(behind) else behind.partition("/")[0].partition("!")[0]
    elif "@" in name and technology not in USER_IS_ACCOUNT:
        to = name.partition("!")[0]
    else:
        return NOTHING
    number = _digits(to)
    if len(number) < MIN_DIGITS or number.lstrip("+") in {peer, name}:
        return NOTHING
    # A telephone's contact may have any user: `101/sip:7042@10.0.0.9:5060`.
    return Dialled(number, through=not URI.match(to))


def _digits(text: str) -> str:
    written = dialled_part(PREFIX.sub("", text, count=1) if PREFIX.match(text) else text).written
    return written[0] if written else ""
