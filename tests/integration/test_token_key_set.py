"""A login's keys behind a URL: got, kept, got again, and never got from inside our network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.auth import Tokens
from gateway.auth.key_set import AGAIN_S, EVERY_S, KEPT_S, KeySetUrl
from gateway.auth.keys import MAX_KEYS_BYTES
from gateway.errors import KeysUnavailable, TokenInvalid
from gateway.outbound import AddressRefused, AnswerTooLarge, Outbound, Unreachable, UrlInvalid
from tests.fakes.login import (
    Behaviour,
    FakeLogin,
    answering,
    endless,
    new_key,
    public_jwk,
    reset,
    silent,
)
from tests.support.set_clock import SetClock

SECRET = "a secret of thirty-two bytes or so"


@pytest.fixture
async def login() -> AsyncIterator[FakeLogin]:
    async with FakeLogin("ES256") as login:
        yield login


@pytest.fixture
async def inside() -> AsyncIterator[Outbound]:
    async with Outbound(private=True, timeout_s=0.5) as outbound:
        yield outbound


def tokens_of(key_set: KeySetUrl) -> Tokens:
    return Tokens(SECRET, "crm-gateway", "crm-gateway", key_set=key_set)


async def test_a_rotated_key_is_got_when_its_first_token_arrives(
    login: FakeLogin, inside: Outbound
) -> None:
    """Once for all who wait; then tokens of both keys are verified without asking."""
    clock = SetClock()
    tokens = tokens_of(KeySetUrl(login.keys_url, inside, now=clock))
    old = login.token(7)
    assert (await tokens.authenticate(old)).employee_id == 7

    login.rotate()
    clock.at += AGAIN_S
    fresh = login.token(8)
    waiting = [asyncio.create_task(tokens.authenticate(fresh)) for _ in range(20)]

    assert {(await each).employee_id for each in waiting} == {8}
    assert (await tokens.authenticate(old)).employee_id == 7
    assert login.asked == 2


async def test_a_withdrawn_key_is_refused_once_the_set_was_got_again(
    login: FakeLogin, inside: Outbound
) -> None:
    """A login that lost its key publishes a set without it."""
    clock = SetClock()
    tokens = tokens_of(KeySetUrl(login.keys_url, inside, now=clock))
    stolen = login.token(7)
    await tokens.authenticate(stolen)

    login.rotate(keep=0)
    clock.at += EVERY_S
    await tokens.authenticate(login.token(8))

    clock.at += AGAIN_S
    with pytest.raises(TokenInvalid):
        await tokens.authenticate(stolen)


async def test_a_login_may_withdraw_all_its_keys(login: FakeLogin, inside: Outbound) -> None:
    """A set without keys is an answer, and no outage."""
    clock = SetClock()
    key_set = KeySetUrl(login.keys_url, inside, now=clock)
    tokens = tokens_of(key_set)
    stolen = login.token(7)
    await tokens.authenticate(stolen)

    for left in ([], [{"kty": "AKP"}]):
        login.answer = answering(200, json.dumps({"keys": left}).encode())
        clock.at += AGAIN_S
        await key_set.look_again()
        with pytest.raises(TokenInvalid):
            tokens.verify(stolen)


async def test_forged_keys_do_not_make_us_ask_again_and_again(
    login: FakeLogin, inside: Outbound
) -> None:
    """The provider is asked at most every AGAIN_S; meanwhile an unknown key has to wait."""
    clock = SetClock()
    tokens = tokens_of(KeySetUrl(login.keys_url, inside, now=clock))
    await tokens.authenticate(login.token(7))

    async with FakeLogin("ES256") as stranger:
        for _ in range(30):
            with pytest.raises(KeysUnavailable) as refused:
                await tokens.authenticate(stranger.token(7))
        assert 0 < (refused.value.retry_after or 0) <= AGAIN_S
        clock.at += AGAIN_S
        with pytest.raises(TokenInvalid):
            await tokens.authenticate(stranger.token(7))

    assert (await tokens.authenticate(login.token(9))).employee_id == 9
    assert login.asked == 2


async def test_algorithms_that_no_set_can_have_ask_nobody(
    login: FakeLogin, inside: Outbound
) -> None:
    """A token without a signature, or with an HMAC, is judged by what is here."""
    tokens = tokens_of(KeySetUrl(login.keys_url, inside))
    head, body, signature = login.token(7).split(".")

    for forged in (
        f"eyJhbGciOiJub25lIn0.{body}.",
        f"eyJhbGciOiJIUzI1NiJ9.{body}.{signature}",
        head,
    ):
        with pytest.raises(TokenInvalid):
            await tokens.authenticate(forged)

    assert login.asked == 0


@pytest.mark.parametrize(
    "answer",
    [
        answering(500), answering(404, b"no"), answering(200, b"<html>"), answering(204),
        answering(302, location="http://127.0.0.1:1/"), answering(307, location="/keys2"),
        answering(200, json.dumps({"keys": [{"kty": "RSA"}] * 10_000}).encode()),
        answering(200, b'{"keys": [' + b" " * 10_000_000 + b"]}"),
        endless(), silent(), reset,
    ],
)  # fmt: skip
async def test_keys_are_kept_while_the_login_misbehaves(
    login: FakeLogin, inside: Outbound, answer: Behaviour
) -> None:
    """Known tokens go on; unknown ones are told to come back; then all is well again."""
    clock = SetClock()
    tokens = tokens_of(KeySetUrl(login.keys_url, inside, now=clock))
    known = login.token(7)
    await tokens.authenticate(known)

    login.answer = answer
    login.rotate()
    clock.at += AGAIN_S
    with pytest.raises(KeysUnavailable):
        await tokens.authenticate(login.token(8))
    assert tokens.verify(known).employee_id == 7

    login.answer = None
    clock.at += AGAIN_S
    assert (await tokens.authenticate(login.token(8))).employee_id == 8


async def test_keys_are_not_kept_for_ever(login: FakeLogin, inside: Outbound) -> None:
    """A login that has been away for a day is not trusted by what it once published."""
    clock = SetClock()
    tokens = tokens_of(KeySetUrl(login.keys_url, inside, now=clock))
    await tokens.authenticate(login.token(7))

    login.answer = answering(503)
    clock.at += KEPT_S
    with pytest.raises(KeysUnavailable):
        await tokens.authenticate(login.token(7))


async def test_an_answer_is_read_no_further_than_asked(login: FakeLogin, inside: Outbound) -> None:
    """However long it is, and whether or not it says so."""
    for answer in (answering(200, b"x" * (MAX_KEYS_BYTES + 1)), endless()):
        login.answer = answer
        with pytest.raises(AnswerTooLarge):
            await inside.get(login.keys_url, at_most=MAX_KEYS_BYTES)


async def test_a_form_is_posted_as_bounded_as_anything_is_read(
    login: FakeLogin, inside: Outbound
) -> None:
    """It is sent once, also when the answer leads elsewhere."""
    async with Outbound(private=False) as outside:
        with pytest.raises(AddressRefused):
            await outside.post(login.keys_url.replace("http:", "https:"), {}, at_most=100)
    async with Outbound(private=True, timeout_s=60) as patient:
        login.answer = answering(307, location=f"{login.keys_url}/elsewhere")
        assert (await patient.post(login.keys_url, {"code": "1"}, at_most=100)).status == 307
        assert login.asked == 1
        login.answer = endless()
        with pytest.raises(AnswerTooLarge):
            await patient.post(login.keys_url, {}, at_most=100)
    login.answer = silent()
    with pytest.raises(Unreachable):
        await inside.post(login.keys_url, {}, at_most=100)


async def test_a_slow_answer_ends_in_time(login: FakeLogin, inside: Outbound) -> None:
    """Also when it sends a byte now and then."""
    login.answer = silent()

    with pytest.raises(Unreachable, match=r"0\.5 s"):
        await inside.get(login.keys_url, at_most=100)


async def test_a_redirect_is_an_answer(login: FakeLogin, inside: Outbound) -> None:
    """Nobody is led from an address that was judged to one that was not."""
    login.answer = answering(302, location="http://127.0.0.1:1/")

    assert (await inside.get(login.keys_url, at_most=100)).status == 302
    assert login.asked == 1


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "127.1", "0", "[::]",
             "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "[fe80::1]"],
)  # fmt: skip
async def test_nothing_inside_our_network_is_asked(login: FakeLogin, host: str) -> None:
    """By any spelling of the address, and by a name that leads to one."""
    async with Outbound(private=False, timeout_s=0.5) as outside:
        with pytest.raises((AddressRefused, Unreachable)) as refused:
            await outside.get(f"https://{host}:{login.port}/keys", at_most=100)

    assert login.asked == 0
    if host in {"127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254"}:
        assert isinstance(refused.value, AddressRefused)


@pytest.mark.parametrize(
    "url", ["", "keys", "ftp://login.example/keys", "file:///etc/passwd", "https://",
            "https://user@login.example/", "https://login.example/#x", "https://login.example:0/",
            "https://login.example:99999/", "https://login.example/a b", "https://lógin.example/",
            "https://login.example/\r\nHost: x", "https://login.example\\@10.0.0.1/",
            "https://login.example/" + "x" * 2_048, "http://login.example/keys", "https://[::1/"],
)  # fmt: skip
async def test_a_url_that_could_mean_two_things_is_refused(url: str) -> None:
    """Before anything is resolved; plain HTTP too, unless private networks are allowed."""
    async with Outbound(private=False) as outside:
        with pytest.raises(UrlInvalid):
            await outside.get(url, at_most=100)


async def test_a_set_of_many_kinds_is_used_for_what_it_has(
    login: FakeLogin, inside: Outbound, tmp_path: Path
) -> None:
    """One unusable key does not spoil the set."""
    keys = json.loads(login.key_set())["keys"]
    weak = public_jwk("RS256", new_key("RS256", bits=1_024), kid="weak")
    login.answer = answering(200, json.dumps({"keys": [None, weak, *keys]}).encode())
    tokens = tokens_of(KeySetUrl(login.keys_url, inside))

    assert (await tokens.authenticate(login.token(7))).employee_id == 7
