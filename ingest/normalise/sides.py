"""Ours or an outsider: what a PBX's own settings say about a channel, before its name does.

asterisk_facts, freeswitch, twilio ─▶ side_of_context. Trunks are named like telephones more often
than one would think (`SIP/5061`, `DAHDI/33`), while the dialplan must keep outsiders apart.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Side = Literal["external", "agent"]

OUTSIDE = re.compile(
    r"trunk|pstn|incoming|inbound|provider|carrier|dahdi|zaptel"
    r"|(?<![a-z])(?:did|gsm|isdn|fxo|external|public|outside)(?![a-z])",
    re.IGNORECASE,
)
INSIDE = re.compile(
    r"internal|extensions?(?![a-z])|softphone|webrtc"
    r"|(?<![a-z])(?:phones?|users?|agents?|office|desks?|handsets?|local)(?![a-z])",
    re.IGNORECASE,
)


@lru_cache(maxsize=1_000)
def side_of_context(context: str) -> Side | None:
    """Return who calls from this dialplan context or SIP profile; None when its name is no help.

    FreePBX names them from-trunk, from-pstn and from-internal, FreeSWITCH public and external.
    """
    outside, inside = OUTSIDE.search(context), INSIDE.search(context)
    if outside and not inside:
        return "external"
    return "agent" if inside and not outside else None
