"""Telephones register with the PBX, lines to carriers are configured: what that says of a call."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from ingest.framing.ami_messages import AmiMessage
from ingest.normalise.asterisk import AsteriskNormaliser
from ingest.normalise.asterisk_registrations import ACTIONS, MOST, Registrations
from tests.support.scripted_pbx import NUMBER, ScriptedPbx
from tests.unit.test_trunks import NEUTRAL, OUTSIDE, PHONE

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NAMES = ("5061", "701", "100200", "oksana", "gw-1", "carrier", "380441112233", "a;b")
ONE_CONTEXT = ("from-internal", "phones")


def answers(name: str, kind: str, driver: str) -> list[AmiMessage]:
    """Return what Asterisk lists of an endpoint."""
    mark = ";@" if kind == "registers" else "@@"
    contact = [("Event", "ContactList"), ("ObjectName", f"{name}{mark}1f0a2b")]
    listed = {
        "PJSIP": [*contact, ("Endpoint", name)],
        "PJSIP without endpoint": contact,
        "SIP": [("Event", "PeerEntry"), ("ObjectName", name),
                ("Dynamic", "yes" if kind == "registers" else "no")],
    }  # fmt: skip
    return [AmiMessage(tuple(listed[driver]))]


def pbx_that_lists(*messages: AmiMessage) -> ScriptedPbx:
    """Return a PBX whose lists of endpoints were answered."""
    pbx = ScriptedPbx()
    snapshot = pbx.normaliser.new_snapshot("t")
    for message in messages:
        action = ACTIONS[0] if message.event == "ContactList" else ACTIONS[1]
        assert snapshot.accept(AmiMessage((*message.fields, ("ActionID", f"t-{action}"))))
    return pbx


def calls_in(pbx: ScriptedPbx, channel: str, context: str, number: str) -> None:
    pbx.send("Newchannel", channel, CallerIDNum=number, ChannelStateDesc="Ring", Context=context,
             Exten="302")  # fmt: skip
    pbx.rings(PHONE, by=channel)
    pbx.at(5)
    pbx.up(PHONE, channel)
    pbx.enter("talk", PHONE, channel)
    pbx.at(35)
    pbx.hangup(channel, PHONE)


@pytest.mark.parametrize("driver", ["PJSIP", "PJSIP without endpoint", "SIP"])
@pytest.mark.parametrize(("name", "context"), [*product(NAMES, (*NEUTRAL, *ONE_CONTEXT))])
def test_who_calls_through_a_configured_endpoint_is_an_outsider(
    name: str, context: str, driver: str
) -> None:
    """However it is named, also where one context serves telephones and lines."""
    pbx = pbx_that_lists(*answers(name, "configured", driver))
    calls_in(pbx, f"{driver.partition(' ')[0]}/{name}-0000001f", context, NUMBER)

    assert (pbx.call.direction, pbx.call.number_e164) == ("inbound", NUMBER)
    assert [leg.extension for leg in pbx.call.legs] == [None, "302"]


@pytest.mark.parametrize("driver", ["PJSIP", "SIP"])
@pytest.mark.parametrize(("name", "context"), [*product(NAMES, (*NEUTRAL, *ONE_CONTEXT))])
def test_who_calls_from_a_registered_endpoint_is_ours(name: str, context: str, driver: str) -> None:
    """A telephone with a name, too, in a context that says nothing: it shows its extension."""
    pbx = pbx_that_lists(*answers(name, "registers", driver))
    calls_in(pbx, f"{driver}/{name}-0000001f", context, "301")

    assert pbx.call.direction == "internal"
    assert [leg.kind for leg in pbx.call.legs] == ["agent", "agent"]


@pytest.mark.parametrize("name", ["goip1", "carrier"])
@pytest.mark.parametrize("context", NEUTRAL)
def test_a_gateway_that_registers_is_no_telephone(name: str, context: str) -> None:
    """It shows outsiders' numbers."""
    pbx = pbx_that_lists(*answers(name, "registers", "PJSIP"))
    calls_in(pbx, f"PJSIP/{name}-0000001f", context, NUMBER)

    assert (pbx.call.direction, pbx.call.number_e164) == ("inbound", NUMBER)


@pytest.mark.parametrize(("name", "context"), [*product(NAMES, OUTSIDE)])
def test_an_outside_context_says_more(name: str, context: str) -> None:
    """Whether the endpoint registers or not."""
    for kind in ("registers", "configured"):
        pbx = pbx_that_lists(*answers(name, kind, "PJSIP"))
        calls_in(pbx, f"PJSIP/{name}-0000001f", context, "301")
        assert pbx.call.direction == "inbound", kind


def test_a_telephone_that_is_rung_and_registers_is_ours() -> None:
    """Although no extension is in its name; through a registered gateway an outsider is rung."""
    pbx = pbx_that_lists(
        *answers("oksana", "registers", "PJSIP"), *answers("goip1", "registers", "PJSIP")
    )
    for at, channel, dialled in (
        (0, "PJSIP/oksana-0000001f", "oksana"),
        (60, "PJSIP/goip1-0000001f", "0671234567@goip1"),
    ):
        pbx.at(at)
        caller = f"PJSIP/302-000000{at:02}"
        pbx.new(caller, of=caller, number="302")
        pbx.new(channel, of=caller)
        pbx.send("DialBegin", caller, channel, DialString=dialled)
        pbx.ring(channel)
        pbx.up(channel, caller)
        pbx.enter(f"talk{at}", channel, caller)
        pbx.at(at + 30)
        pbx.hangup(channel, caller)

    assert [call.direction for call in pbx.calls] == ["internal", "outbound"]


def test_one_device_that_registers_makes_a_telephone() -> None:
    """Beside a contact that is configured, in either order; and nothing is asked twice."""
    found = []
    for order in (1, -1):
        known = Registrations()
        for message in [
            *answers("301", "registers", "PJSIP"), *answers("301", "configured", "PJSIP"),
        ][::order]:  # fmt: skip
            known.hear(message)
        found.append(known.of_channel("PJSIP/301-00000001"))

    assert found == ["registers", "registers"]


@pytest.mark.parametrize(
    "name", ["", "301", ";@1f", "@@1f", "301;1f", "301@x", "301;@a@b", "301/sip:301@10.0.0.9"]
)
def test_what_is_no_contact_says_nothing(name: str) -> None:
    """Older releases name contacts in other ways."""
    known = Registrations()
    known.hear(AmiMessage((("Event", "ContactList"), ("ObjectName", name), ("Uri", "sip:x"))))

    assert known.of_channel("PJSIP/301-00000001") is None


def test_it_is_asked_first_and_not_waited_for() -> None:
    """The snapshot is complete with the channels and the queues, whatever became of the rest."""
    snapshot = AsteriskNormaliser("pbx").new_snapshot("t")
    asked = [dict(action)["Action"] for action in snapshot.actions()]
    refused = (("Response", "Error"), ("Message", "Invalid/unknown command"))
    for action in ACTIONS:
        snapshot.accept(AmiMessage((*refused, ("ActionID", f"t-{action}"))))
    for action in ("CoreShowChannels", "QueueStatus"):
        done = ("Event", f"{action}Complete")
        snapshot.accept(AmiMessage((done, ("ActionID", f"t-{action}"))))

    assert asked == [*ACTIONS, "CoreShowChannels", "QueueStatus"]
    assert (snapshot.complete, snapshot.refused) == (True, {})


def test_a_list_without_end_is_not_remembered_without_end() -> None:
    """The first 50,000 are."""
    known = Registrations()
    for number in (0, MOST, 2 * MOST):
        for more in range(number, number + (MOST if number == 0 else 1)):
            known.hear(answers(str(more), "registers", "SIP")[0])

    assert known.of_channel(f"SIP/{MOST - 1}-00000001") == "registers"
    assert known.of_channel(f"SIP/{MOST}-00000001") is None
