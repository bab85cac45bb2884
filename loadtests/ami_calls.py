"""Calls as Asterisk's manager interface reports them: a trunk rings one telephone.

scenarios, tests.faults ─▶ AmiCall ─▶ a fake Asterisk's connection. Thirteen events in three parts,
with the PBX's own times (timestampevents=yes).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.framing.ami_messages import encode

EVENTS = {"ringing": 4, "answered": 5, "ended": 4}
"""How many each part is."""


@dataclass(frozen=True, slots=True)
class AmiCall:
    """One call; `number` makes it differ from all others."""

    number: int
    extension: str

    @property
    def caller(self) -> str:
        """The outside party, in E.164."""
        return f"+38050{self.number % 10**7:07d}"

    @property
    def caller_id(self) -> str:
        """The native id of the caller's channel, and of the call."""
        return f"1700000000.{2 * self.number}"

    @property
    def agent_id(self) -> str:
        return f"1700000000.{2 * self.number + 1}"

    def ringing(self) -> bytes:
        return b"".join(
            [
                _event("Newchannel", self._caller("4")),
                _event("Newchannel", self._agent("0")),
                _event("DialBegin", self._dialling("5") | {"DialString": self.extension}),
                _event("Newstate", self._agent("5")),
            ]
        )

    def answered(self) -> bytes:
        return b"".join(
            [
                _event("Newstate", self._agent("6")),
                _event("DialEnd", self._dialling("6") | {"DialStatus": "ANSWER"}),
                _event("Newstate", self._caller("6")),
                *(_event("BridgeEnter", one) for one in self._bridged()),
            ]
        )

    def given_up(self) -> bytes:
        """Return the end of a call that nobody answers: the caller hangs up."""
        cause = {"Cause": "0", "Cause-txt": "Unknown"}
        return b"".join(
            [
                _event("DialEnd", self._dialling("5") | {"DialStatus": "CANCEL"}),
                _event("Hangup", self._agent("5") | cause),
                _event("Hangup", self._caller("4") | cause | {"Cause": "16"}),
            ]
        )

    def ended(self) -> bytes:
        cause = {"Cause": "16", "Cause-txt": "Normal Clearing"}
        return b"".join(
            [
                *(_event("BridgeLeave", one) for one in self._bridged()),
                _event("Hangup", self._agent("6") | cause),
                _event("Hangup", self._caller("6") | cause),
            ]
        )

    def channels(self, *, talking: bool) -> list[dict[str, str]]:
        """Return the reply to CoreShowChannels while the call lasts."""
        both = ("6", "6") if talking else ("4", "5")
        bridge = {"BridgeId": f"bridge-{self.number}" if talking else "", "Duration": "00:00:01"}
        return [
            self._caller(both[0]) | bridge | {"Application": "Dial"},
            self._agent(both[1]) | bridge | {"Application": "AppDial"},
        ]

    def _dialling(self, state: str) -> dict[str, str]:
        """Return the caller, and the telephone in this state as whom it dials."""
        agent = {f"Dest{name}": value for name, value in self._agent(state).items()}
        return self._caller("4") | agent

    def _bridged(self) -> Iterator[dict[str, str]]:
        bridge = {"BridgeUniqueid": f"bridge-{self.number}", "BridgeType": "basic"}
        yield bridge | self._caller("6")
        yield bridge | self._agent("6")

    def _caller(self, state: str) -> dict[str, str]:
        return {
            "Channel": f"SIP/trunk-{2 * self.number:08x}",
            **_state(state),
            "CallerIDNum": self.caller,
            "CallerIDName": "<unknown>",
            "Exten": "0441110001",
            "Uniqueid": self.caller_id,
            "Linkedid": self.caller_id,
        }

    def _agent(self, state: str) -> dict[str, str]:
        return {
            "Channel": f"SIP/{self.extension}-{2 * self.number + 1:08x}",
            **_state(state),
            "CallerIDNum": self.extension,
            "CallerIDName": "<unknown>",
            "Exten": "",
            "Uniqueid": self.agent_id,
            "Linkedid": self.caller_id,
        }


STATES = {"0": "Down", "4": "Ring", "5": "Ringing", "6": "Up"}


def _state(number: str) -> dict[str, str]:
    return {"ChannelState": number, "ChannelStateDesc": STATES[number]}


def _event(name: str, fields: dict[str, str]) -> bytes:
    return encode(
        [("Event", name), ("Privilege", "call,all"), ("Timestamp", f"{time.time():.6f}"),
         *fields.items()]
    )  # fmt: skip
