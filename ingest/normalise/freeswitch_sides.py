"""Whose a leg of FreeSWITCH is: by gateway, directory user, context and profile, then by its name.

freeswitch ─▶ side_of, user_of. An outsider who calls in is named by the caller id:
`sofia/external/1001@carrier` is not our 1001.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ingest.normalise.sides import Side, side_of_context

GATEWAYS = ("variable_sip_gateway_name", "variable_sip_gateway")
"""Set for a leg that goes out through a gateway, and for one that came in through it."""
CALLED_USERS = ("variable_dialed_user",)
CALLING_USERS = ("variable_user_name", "variable_sip_auth_username")
PROFILE = re.compile(r"^sofia/([^/]+)/")
EXTENSION = re.compile(r"\d{2,6}")
CALLED_NUMBERS = ("Caller-Destination-Number", "variable_sip_to_user", "variable_sip_req_user")
DIVERSION = re.compile(r"sips?:(\d{2,6})@")
NUMBER = re.compile(r"\+?\d{2,40}", re.ASCII)


def side_of(fields: Mapping[str, str]) -> Side | None:
    """Return whether the leg is ours or an outsider's; None: its name decides."""
    user, outbound = _user(fields), fields.get("Call-Direction") == "outbound"
    if outbound and user:
        return "agent"  # also the user's mobile, which a gateway leads to
    if any(fields.get(name) for name in GATEWAYS):
        return "external"
    if user:
        return "agent"
    calls_in = fields.get("Call-Direction") == "inbound"
    if calls_in and side_of_context(fields.get("Caller-Context", "")) == "external":
        return "external"
    profile = PROFILE.match(fields.get("Channel-Name", ""))
    outside = profile is not None and side_of_context(profile[1]) == "external"
    return "external" if outside else None


def user_of(fields: Mapping[str, str]) -> str | None:
    """Return the directory user's number: a browser's telephone has a random name."""
    user = _user(fields)
    return user if EXTENSION.fullmatch(user) else None


def called_number(fields: Mapping[str, str]) -> str | None:
    """Return the number that the caller of an inbound leg dialled.

    A gateway that registers gets calls for its own account; the number is then in SIP's To.
    """
    given = (fields.get(name, "") for name in CALLED_NUMBERS)
    return next((found for found in given if NUMBER.fullmatch(found)), None)


def diverted_by(fields: Mapping[str, str]) -> str | None:
    """Return the extension of ours that SIP's Diversion names, on a leg that is rung.

    It may also name a number of ours, which is shown to the mobile that is rung.
    """
    found = DIVERSION.search(fields.get("variable_sip_h_Diversion", ""))
    return found[1] if found else None


def rung_under(fields: Mapping[str, str]) -> str | None:
    """Return the extension of the dialplan in which a leg is rung; mod_callcenter has none."""
    return None if fields.get("variable_cc_queue") else fields.get("Other-Leg-Destination-Number")


def _user(fields: Mapping[str, str]) -> str:
    outbound = fields.get("Call-Direction") == "outbound"
    names = CALLED_USERS if outbound else CALLING_USERS
    return next((found for name in names if (found := fields.get(name))), "")
