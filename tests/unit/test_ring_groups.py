"""The ring group that a caller reached: told by the PBX, or seen in how telephones were rung."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from ingest import FreeswitchNormaliser
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.webhook import parse_events
from tests.support.cacofonisk import scenarios
from tests.support.call_truth import calls_of, events_of_recording, names
from tests.support.scripted_pbx import CALLER, NUMBER, A, B, C, ScriptedPbx

INSIDE = "PJSIP/309-00000001"
T0 = datetime.now(UTC) - timedelta(hours=1)


class GroupPbx(ScriptedPbx):
    """Rings telephones under an extension of the dialplan."""

    def begin(self, caller: str, exten: str) -> None:
        self._linked[caller] = caller
        context = "from-trunk" if caller == CALLER else "from-internal"
        self.send("Newchannel", caller, CallerIDNum=NUMBER if caller == CALLER else "309",
                  Context=context, Exten=exten, ChannelStateDesc="Ring")  # fmt: skip

    def rings_under(self, exten: str, by: str, phone: str, *, behind: str | None = None) -> None:
        """Ring a telephone, or a Local channel behind which it rings; `behind`: its name."""
        if behind is None:
            self.new(phone, of=by)
            self.send("DialBegin", by, phone, DestExten=exten)
        else:
            one, two = (f"Local/{behind}-{phone[-8:]};{half}" for half in (1, 2))
            self.new(one, two, phone, of=by)
            self.send("DialBegin", by, one, DestExten=exten)
            self.send("DialBegin", two, phone, DestExten=behind.partition("@")[0])
        self.ring(phone)


@pytest.mark.parametrize("name", names())
def test_of_the_recordings_one_rings_a_group(name: str) -> None:
    """The members of queues, and those that are rung after a transfer, are none."""
    expected = {"08"} if name == "l20_parallel_ringing_dial" else set()
    assert {call.ring_group for call in calls_of(events_of_recording(name))} - {None} == expected


@pytest.mark.skipif(not scenarios(), reason="cacofonisk is not beside this repository")
def test_of_another_installation_two_calls_ring_a_group() -> None:
    """One is called, into one a call is transferred; a call picked up rings no group."""
    found = {one.name: calls_of(one.events()) for one in scenarios()}

    groups = {name: call.ring_group for name, (call,) in found.items() if call.ring_group}
    assert groups == {"simple/ab_callgroup": "401", "xfer_blonde/xfer_blonde_group_a": "401"}


WAYS = {
    "telephones": (None, None, None),
    "behind Local channels": ("301@from-queue", "302@from-queue", "303@from-queue"),
    "mixed": (None, "302@from-internal", None),
}


@pytest.mark.parametrize(
    ("caller", "way", "in_turn"), [*product((CALLER, INSIDE), WAYS, (True, False))]
)
def test_telephones_rung_under_one_extension_are_a_group(
    caller: str, way: str, in_turn: bool
) -> None:
    """At once or one after another; called from inside or reached from outside."""
    pbx = GroupPbx()
    pbx.begin(caller, "0442223344" if caller == CALLER else "600")
    phones = list(zip((A, B, C), WAYS[way], strict=True))
    random.Random(way).shuffle(phones)
    for n, (phone, behind) in enumerate(phones):
        if in_turn:
            pbx.at(20 * n)
        pbx.rings_under("600", caller, phone, behind=behind)
        if in_turn and n < 2:
            pbx.at(20 * n + 19)
            pbx.hangup(phone, cause="19")

    assert pbx.call.ring_group == "600"


def test_what_is_rung_otherwise_is_no_group() -> None:
    """One telephone, one again, two lines' own numbers, steps of the dialplan, a queue."""
    rings: dict[str, list[tuple[str, str]]] = {
        "one": [("14", A)],
        "the same again": [("14", A), ("14", "PJSIP/301-00000009")],
        "by their own numbers": [("301", A), ("302", B)],
        "the number dialled": [("0442223344", A), ("0442223344", B)],
        "a step": [("s", A), ("s", B)],
        "a result": [("s-BUSY", A), ("s-BUSY", B)],
        "nowhere": [("", A), ("", B)],
    }
    for what, rung in rings.items():
        pbx = GroupPbx()
        pbx.begin(CALLER, "0442223344")
        for exten, phone in rung:
            pbx.rings_under(exten, CALLER, phone)
        assert pbx.call.ring_group is None, what
    queue = GroupPbx()
    queue.into_queue()
    for phone in (A, B):
        queue.rings_under("8003", CALLER, phone)
        queue.send("AgentCalled", CALLER, phone, Queue="sales", Interface=phone[:9])
    assert queue.call.ring_group is None


@pytest.mark.parametrize(("caller", "exten"), [(INSIDE, "0507776655"), (CALLER, "600")])
def test_a_number_tried_over_two_trunks_is_no_group(caller: str, exten: str) -> None:
    """The first trunk fails, and the number is dialled by the next one."""
    pbx = GroupPbx()
    pbx.begin(caller, exten if caller == INSIDE else "0442223344")
    for trunk in ("PJSIP/kyivstar-00000005", "PJSIP/vodafone-00000006"):
        pbx.new(trunk, of=caller)
        dialled = f"{trunk[6:14]}/0507776655"
        pbx.send("DialBegin", caller, trunk, DestExten=exten, DialString=dialled)
        pbx.at(1)
        if trunk.startswith("PJSIP/kyivstar"):
            pbx.hangup(trunk, cause="38")

    assert pbx.call.ring_group is None


def test_a_telephone_that_picks_up_for_another_makes_no_group() -> None:
    """The PBX tells that it is rung, too: in the place of the other, behind the same pair."""
    rung, picks_up = "PJSIP/oksana-00000005", "PJSIP/petro-00000006"
    pbx = GroupPbx()
    pbx.begin(INSIDE, "202")
    pbx.rings_under("202", INSIDE, rung, behind="ID2@accounts")
    pbx.new(picks_up, of=INSIDE)
    pbx.send("DialBegin", f"Local/ID2@accounts-{rung[-8:]};2", picks_up, DestExten="201")
    pbx.up(picks_up)

    assert pbx.call.ring_group is None


def test_mobiles_of_several_numbers_may_be_a_group() -> None:
    """All of them over one trunk, for a caller from outside."""
    pbx = GroupPbx()
    pbx.begin(CALLER, "0442223344")
    for n in (5, 6):
        trunk = f"PJSIP/kyivstar-0000000{n}"
        pbx.new(trunk)
        pbx.send("DialBegin", CALLER, trunk, DestExten="600", DialString=f"kyivstar/050777665{n}")

    assert pbx.call.ring_group == "600"


def test_freepbx_names_its_groups() -> None:
    """By the context that the caller enters, and by members that must accept by key."""
    entered, accepting = GroupPbx(), GroupPbx()
    entered.begin(CALLER, "0442223344")
    entered.send("Newexten", CALLER, Context="ext-group", Exten="600", Priority="1",
                 Application="Macro")  # fmt: skip
    entered.rings_under("s", CALLER, A)
    accepting.begin(CALLER, "0442223344")
    accepting.rings_under("s", CALLER, A, behind="RG-600-301@from-internal")

    assert entered.call.ring_group == accepting.call.ring_group == "600"


def test_the_group_that_was_rung_first_counts() -> None:
    """A second one, when the first has not answered, does not take its place."""
    pbx = GroupPbx()
    pbx.begin(CALLER, "0442223344")
    for at, exten, phones in ((0, "600", (A, B)), (20, "601", (C, "PJSIP/304-00000005"))):
        pbx.at(at)
        for phone in phones:
            pbx.rings_under(exten, CALLER, phone)
        pbx.at(at + 19)
        pbx.hangup(*phones, cause="19")

    assert pbx.call.ring_group == "600"


@pytest.mark.parametrize("caller", [CALLER, INSIDE])
def test_one_number_over_two_trunks_is_no_group(caller: str) -> None:
    """Each carrier wants it in its own notation, and the second is tried after the first."""
    pbx = GroupPbx()
    pbx.begin(caller, "0442223344")
    for n, dialled in enumerate(("kyivstar/0507776655", "vodafone/380507776655")):
        trunk = f"PJSIP/{dialled.partition('/')[0]}-0000000{n}"
        pbx.new(trunk, of=caller)
        pbx.send("DialBegin", caller, trunk, DestExten="600", DialString=dialled)
        pbx.hangup(trunk, cause="38")

    assert pbx.call.ring_group is None


# --- other PBXs ----------------------------------------------------------------------------------


def freeswitch(dialled: str, *legs: dict[str, str], inside: bool = False) -> CallState:
    """Return a call in which the caller's leg rings these."""
    normaliser = FreeswitchNormaliser("pbx", region="UA")
    told: list[CallEvent] = []
    caller = {
        "Call-Direction": "inbound", "Caller-Destination-Number": dialled,
        "Channel-Name": "sofia/internal/309@office" if inside else "sofia/external/x@carrier",
        "Caller-Context": "default" if inside else "public",
        "Caller-Caller-ID-Number": "309" if inside else NUMBER,
    }  # fmt: skip
    rung = [
        {"Call-Direction": "outbound", "Other-Type": "originator",
         "Other-Leg-Unique-ID": "leg0", "Channel-Name": f"sofia/internal/30{n}@office", **fields}
        for n, fields in enumerate(legs, 1)
    ]  # fmt: skip
    for n, fields in enumerate((caller, *rung)):
        stamp = int((T0 + timedelta(seconds=n)).timestamp() * 1_000_000)
        said = {"Event-Name": "CHANNEL_CREATE", "Unique-ID": f"leg{n}", "Event-Sequence": str(n),
                "Event-Date-Timestamp": str(stamp), "Core-UUID": "core", **fields}  # fmt: skip
        told += normaliser.events(said, T0)
    (call,) = calls_of(told)
    assert calls_of(told[::-1]) == [call]
    return call


@pytest.mark.parametrize("inside", [True, False])
def test_freeswitch_names_the_group_or_where_it_was_rung(inside: bool) -> None:
    """`group/sales@office`, or several destinations in one extension of the dialplan."""
    dialled = "600" if inside else "0442223344"
    under = {"Other-Leg-Destination-Number": "600"}
    group = {"variable_dialed_group": "sales"}
    agent = {**under, "variable_cc_queue": "support@default"}

    assert freeswitch(dialled, under, under, inside=inside).ring_group == "600"
    assert freeswitch(dialled, under | group, under | group, inside=inside).ring_group == "sales"
    assert freeswitch(dialled, under, inside=inside).ring_group is None
    assert freeswitch(dialled, agent, agent, inside=inside).ring_group is None


@pytest.mark.parametrize("way", ["group.entered", "offer.started"])
def test_a_posted_call_names_its_group(way: str) -> None:
    """By the caller who reached it, or by the member that rings."""
    attrs = {"ring_group": "sales"}
    begun: list[dict[str, Any]] = [
        {"type": "call.started", "leg_key": "c", "attrs": {"direction": "inbound"}},
        {"type": "group.entered", "leg_key": "c", "attrs": attrs},
        {"type": "offer.started", "leg_key": "a", "peer_leg_key": "c", "extension": "301",
         "attrs": attrs},
    ]  # fmt: skip
    posted = [item for item in begun if item["type"] in {"call.started", way}]
    parsed = parse_events(
        [{"call_key": "k", "occurred_at": (T0 + timedelta(seconds=n)).isoformat(), **item}
         for n, item in enumerate(posted)],
        source="pbx", region="UA",
    )  # fmt: skip
    assert not parsed.rejected
    (call,) = calls_of(parsed.events)

    assert call.ring_group == "sales"
