"""An Asterisk that sends the events of calls for which there is no recording."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.framing.ami_messages import AmiMessage
from ingest.model.call_state import CallState, LegState
from ingest.model.events import CallEvent
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from tests.support.call_truth import calls_of

T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
CALLER = "PJSIP/trunk-00000001"
NUMBER = "+380671234567"
A, B, C = "PJSIP/301-00000002", "PJSIP/302-00000003", "PJSIP/303-00000004"


class ScriptedPbx:
    """Sends what an Asterisk would; a channel's name is also its unique id."""

    def __init__(self, *, trunk: str | None = None) -> None:
        self._at = 0.0
        self._linked: dict[str, str] = {}
        self._bridges: dict[str, str] = {}
        self.heard: list[CallEvent] = []
        self.normaliser = AsteriskNormaliser("pbx", AsteriskDialect(region="UA", trunk=trunk))

    def at(self, seconds: float) -> None:
        self._at = seconds

    def send(self, event: str, channel: str = "", dest: str = "", **fields: str) -> None:
        message_fields = {"Event": event}
        for prefix, name in (("", channel), ("Dest", dest)):
            if name:
                message_fields |= {f"{prefix}Channel": name, f"{prefix}Uniqueid": name}
                message_fields[f"{prefix}Linkedid"] = self._linked.get(name, name)
        message = AmiMessage(tuple((message_fields | fields).items()))
        self._at += 0.001
        moment = T0 + timedelta(seconds=self._at)
        self.heard += self.normaliser.events(message, moment)

    def new(self, *channels: str, of: str = CALLER, number: str = "<unknown>") -> None:
        for channel in channels:
            self._linked[channel] = self._linked.get(of, of)
            self.send("Newchannel", channel, CallerIDNum=number, ChannelStateDesc="Down")

    def dial(self, by: str, channel: str) -> None:
        self.send("DialBegin", by, channel)

    def ring(self, channel: str) -> None:
        self.send("Newstate", channel, ChannelStateDesc="Ringing")

    def up(self, channel: str, by: str = "") -> None:
        self.send("Newstate", channel, ChannelStateDesc="Up")
        self.send("DialEnd", by, channel, DialStatus="ANSWER")

    def enter(self, bridge: str, *channels: str, **fields: str) -> None:
        for channel in channels:
            self._bridges[channel] = bridge
            self.send("BridgeEnter", channel, BridgeUniqueid=bridge, **fields)

    def leave(self, *channels: str) -> None:
        for channel in channels:
            self.send("BridgeLeave", channel, BridgeUniqueid=self._bridges.pop(channel))

    def hangup(self, *channels: str, cause: str = "16") -> None:
        for channel in channels:
            if channel in self._bridges:
                self.leave(channel)
            self.send("Hangup", channel, Cause=cause)

    def call_in(self) -> None:
        self.new(CALLER, number=NUMBER)

    def into_queue(self) -> None:
        self.call_in()
        self.send("Newexten", CALLER, Application="Queue", AppData="sales,t")
        self.send("QueueCallerJoin", CALLER, Queue="sales")

    def answered(self, agent: str) -> None:
        """The caller has come out of the queue to this channel, and both are in one bridge."""
        self.send("QueueCallerLeave", CALLER, Queue="sales")
        self.send("AgentConnect", CALLER, agent, Queue="sales", MemberName="Alice 301")
        self.enter("talk", agent, CALLER)

    def rings(self, channel: str, by: str = CALLER) -> None:
        """A new channel is dialled, and rings."""
        self.new(channel)
        self.dial(by, channel)
        self.ring(channel)

    def queue_to(self, agent: str, after: float = 2) -> None:
        """A caller in a queue, and the agent who answers him."""
        self.into_queue()
        self.rings(agent)
        self.at(after)
        self.up(agent, CALLER)
        self.answered(agent)

    def pair(self, name: str, of: str = CALLER) -> tuple[str, str]:
        one, two = f"Local/{name}-0000000a;1", f"Local/{name}-0000000a;2"
        self.new(one, two, of=of)
        return one, two

    def pick_up_behind(self, name: str, agent: str) -> tuple[str, str]:
        """The agent who picks up at the far end of a Local channel; its halves."""
        one, two = self.pair(name)
        self.dial(CALLER, one)
        self.rings(agent, by=two)
        self.at(2)
        self.up(agent, two)
        return one, two

    def consult(self, agent: str, colleague: str) -> tuple[str, str]:
        """An agent dials a colleague, whose telephone rings, and leaves the caller for it."""
        one, two = self.pair("303@internal")
        self.enter("consult", one)
        self.new(colleague)
        self.dial(two, colleague)
        self.leave(agent)
        self.enter("consult", agent)
        self.ring(colleague)
        return one, two

    @property
    def calls(self) -> list[CallState]:
        """The calls so far, the same from the last to the first and with repeats."""
        found = calls_of(self.heard)
        assert calls_of([*reversed(self.heard), *self.heard[::3]]) == found
        return found

    @property
    def call(self) -> CallState:
        (call,) = self.calls
        return call


def seconds(milliseconds: int | None) -> int:
    return round((milliseconds or 0) / 1000)


def leg_of_extension(call: CallState, extension: str) -> LegState:
    (found,) = (leg for leg in call.legs if leg.extension == extension)
    return found


def talk_seconds(call: CallState) -> dict[str, int]:
    """How many seconds each of our telephones talked."""
    ours = (leg for leg in call.legs if leg.extension and leg.talk_ms)
    return {str(leg.extension): seconds(leg.talk_ms) for leg in ours}
