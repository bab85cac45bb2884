"""What was dialled, in Asterisk's dial strings and FreeSWITCH's: never our own trunk's number."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.normalise.dialled import Dialled, dialled_in, dialled_number

NUMBERS = ("0671234567", "+380671234567", "112", "4711", "00380671234567")
PEERS = ("380441112233", "0441112233", "701", "33", "carrier", "sip.carrier.example", "trunk-2")
THROUGH = {
    "SIP": ("{peer}/{number}", "{number}@{peer}", "{peer}/{number}/198.51.100.7",
            "{number}:secret@{peer}", "{peer}/{number}!0441110001"),
    "PJSIP": ("{number}@{peer}", "{peer}/{number}"),
    "IAX2": ("{peer}/{number}", "{peer}/{number}@from-pstn", "380440000000:pw@{peer}/{number}"),
    "DAHDI": ("g1/{number}", "{peer}/{number}", "{peer}/w{number}", "{peer}/ww{number}/2"),
    "Dongle": ("dongle0/{number}",),
    "OOH323": ("{number}@{peer}",),
}  # fmt: skip
"""Technology → forms by which a number is dialled through a peer."""
CONTACTS = ("{peer}/sip:{number}@198.51.100.7:5060", "{peer}/sips:{number}@carrier.example")
FORMS = [
    (technology, form) for technology, forms in THROUGH.items() for form in forms
]  # fmt: skip


@pytest.mark.parametrize(("technology", "form"), FORMS)
def test_the_number_is_read_and_not_the_trunk(technology: str, form: str) -> None:
    """With and without the technology before it, alone and among others."""
    for peer, number in product(PEERS, NUMBERS):
        channel = f"{technology}/{peer}-0000000a"
        written = form.format(peer=peer, number=number)
        wanted = Dialled(number, through=True)

        assert dialled_in(written, channel) == wanted, written
        assert dialled_in(f"{technology}/{written}", channel) == wanted, written
        if peer in written:
            several = f"{technology}/101&{technology}/{written}&{technology}/102,30,tT"
            assert dialled_in(several, channel) == wanted, several


@pytest.mark.parametrize("form", CONTACTS)
def test_the_user_of_a_contact_is_what_was_dialled(form: str) -> None:
    """It does not say whether the endpoint is a trunk: telephones have contacts, too."""
    for peer, number in product(PEERS, NUMBERS):
        written = form.format(peer=peer, number=number)
        assert dialled_in(written, f"PJSIP/{peer}-0000000a") == Dialled(number), written


@pytest.mark.parametrize(
    ("channel", "dial_string"),
    [
        ("SIP/380441112233-00000041", "380441112233"),
        ("SIP/380441112233-00000041", "380441112233/380441112233"),
        ("SIP/150010001-00000001", "150010001/150010001/172.20.0.13!!0260010001"),
        ("PJSIP/301-0000000a", "301"),
        ("PJSIP/301-0000000a", "PJSIP/301"),
        ("PJSIP/301-0000000a", "PJSIP/302&PJSIP/301&PJSIP/303"),
        ("PJSIP/101-00000002", "101/sip:101@10.0.0.9:5060"),
        ("PJSIP/101-00000002", "101/sip:k3j4h5@10.0.0.9:5060"),
        ("IAX2/office-1234", "380441112233:secret@office"),
        ("Local/101@agents-0000000a;1", "Local/101@agents/n"),
        ("Local/ID730150@osvpi_route-0000000a;1", "ID730150@osvpi_route"),
        ("DAHDI/33-1", ""),
    ],
)
def test_a_telephone_or_trunk_by_itself_is_no_number(channel: str, dial_string: str) -> None:
    """Nobody dialled the number that it is called by."""
    assert dialled_in(dial_string, channel) == Dialled()


@pytest.mark.parametrize(
    ("dial_string", "number"),
    [
        ("0671234567@pstn/n", "0671234567"),
        ("Local/+380671234567@outbound-allroutes", "+380671234567"),
        ("FMGL-0507776655#@from-internal", "0507776655"),
        ("0507776655#@from-internal", "0507776655"),
    ],
)
def test_a_local_channel_has_its_number_in_its_name(dial_string: str, number: str) -> None:
    """Where it leads, its dialplan decides: it is no trunk."""
    assert dialled_in(dial_string, f"Local/{dial_string}-0000000a;1") == Dialled(number)


@pytest.mark.parametrize("code", ["*31#", "#31#", "*67*", "w", "wwW"])
def test_codes_and_pauses_before_a_number_are_no_part_of_it(code: str) -> None:
    """`*31#` hides our own number from the called party."""
    assert dialled_in(f"g1/{code}0671234567", "DAHDI/1-1").number == "0671234567"


@pytest.mark.parametrize(
    ("destination", "number"),
    [
        ("0671234567", "0671234567"),
        ("1001", "1001"),
        ("sofia/gateway/380441112233/0671234567", "0671234567"),
        ("gateway/380441112233/0671234567", "0671234567"),
        ("{absolute_codec_string=PCMA}sofia/gateway/380441112233/0671234567", "0671234567"),
        ("[leg_timeout=20]sofia/external/+380671234567@sip.carrier.example", "+380671234567"),
        ("sofia/external/sip:+380671234567@198.51.100.7;transport=tcp", "+380671234567"),
        ("sofia/gateway/a/0671234567|sofia/gateway/380441112233/0671234567", "0671234567"),
        ("sofia/gateway/a/0671234567,user/1001", "0671234567"),
        ("sofia/internal/1001%office.example", "1001"),
        ("loopback/0671234567/default/XML", "0671234567"),
        ("freetdm/1/a/0671234567", "0671234567"),
        ("verto.rtc/oksana@office.example", None),
    ],
)
def test_freeswitch_names_the_gateway_before_the_number(
    destination: str, number: str | None
) -> None:
    """Variables, further destinations, hosts and parameters are left out."""
    assert dialled_number(destination) == number


@given(st.text(max_size=300), st.text(max_size=100))
def test_any_dial_string_is_read(text: str, channel: str) -> None:
    """It never fails, and what it finds are digits."""
    found = dialled_in(text, channel).number

    assert found is None or found.lstrip("+").isdigit()
    dialled_number(text)
