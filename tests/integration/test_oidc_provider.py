"""An OpenID Connect provider that is away, slow, too large or not who it should be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.auth.oidc.id_tokens import IdTokenWrong, verify
from gateway.auth.oidc.metadata import MetadataUnusable, parse
from gateway.auth.oidc.provider import AGAIN_S, EVERY_S, Provider
from gateway.auth.tokens import Tokens
from gateway.errors import ProviderRefused, ProviderUnavailable
from gateway.oidc_settings import OidcSettings
from gateway.outbound import Outbound
from tests.fakes.login import Behaviour, answering, endless, reset, silent
from tests.fakes.provider import CLIENT_ID, FakeProvider
from tests.support.set_clock import SetClock

WELL_KNOWN = "/realms/office/.well-known/openid-configuration"

MISBEHAVIOURS = [
    answering(500), answering(404, b"no"), answering(200, b"<html>"), answering(204),
    answering(200, b"[1]"), answering(200, b"{}"), answering(200, b"\xff"),
    answering(302, location="http://127.0.0.1:1/"), answering(307, location="/token"),
    answering(200, b"{" + b" " * 10_000_000 + b"}"), endless(), reset,
]  # fmt: skip


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(secret=None) as fake:
        yield fake


@pytest.fixture
async def inside() -> AsyncIterator[Outbound]:
    async with Outbound(private=True, timeout_s=60) as outbound:
        yield outbound


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def provider(fake: FakeProvider, inside: Outbound, clock: SetClock) -> Provider:
    return provider_of(fake.issuer, inside, clock)


def provider_of(issuer: str, outbound: Outbound, clock: Callable[[], float]) -> Provider:
    settings = OidcSettings(oidc_issuer=issuer, oidc_client_id=CLIENT_ID, oidc_private=True)
    return Provider(settings, outbound, redirect_uri="http://gateway.test/callback", now=clock)


async def test_the_document_is_read_once_for_all_and_again_each_hour(
    fake: FakeProvider, provider: Provider, clock: SetClock
) -> None:
    """Not at the start: the gateway starts whether or not the provider answers."""
    assert not fake.asked

    found = await asyncio.gather(*(provider.metadata() for _ in range(20)))
    clock.at += EVERY_S - 1
    await provider.metadata()

    assert {one.token_endpoint for one in found} == {f"{fake.url}/token"}
    assert fake.asked[WELL_KNOWN] == 1
    fake.changes["token_endpoint"] = f"{fake.url}/other"
    clock.at += 1
    assert (await provider.metadata()).token_endpoint == f"{fake.url}/other"


@pytest.mark.parametrize("answer", MISBEHAVIOURS)
async def test_a_document_that_cannot_be_read_is_asked_for_again(
    fake: FakeProvider, provider: Provider, clock: SetClock, answer: Behaviour
) -> None:
    """Meanwhile nobody can begin; one that was read before is used."""
    fake.answers[WELL_KNOWN] = answer
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await provider.metadata()
    assert fake.asked[WELL_KNOWN] == 1

    del fake.answers[WELL_KNOWN]
    clock.at += AGAIN_S
    known = await provider.metadata()
    fake.answers[WELL_KNOWN] = answer
    clock.at += EVERY_S
    assert await provider.metadata() == known


@pytest.mark.parametrize("answer", MISBEHAVIOURS)
async def test_a_code_is_not_exchanged_by_a_provider_that_misbehaves(
    fake: FakeProvider, provider: Provider, answer: Behaviour
) -> None:
    """Nobody is led elsewhere with the code, and no answer is read to an end that never comes."""
    fake.answers["/token"] = answer

    with pytest.raises(ProviderUnavailable):
        await provider.exchange("code", "verifier")

    assert fake.asked["/token"] == 1


async def test_a_provider_that_never_ends_its_answer_is_left(
    fake: FakeProvider, clock: SetClock
) -> None:
    """Whatever it was asked for: people are told to try again."""
    async with Outbound(private=True, timeout_s=0.3) as hasty:
        provider = provider_of(fake.issuer, hasty, clock)
        fake.answers = dict.fromkeys((WELL_KNOWN, "/token", "/keys"), silent())
        with pytest.raises(ProviderUnavailable):
            await provider.metadata()
        provider._metadata = parse(
            json.dumps(fake.document).encode(), issuer=fake.issuer, private=True
        )
        provider._read_at = clock.at
        with pytest.raises(ProviderUnavailable):
            await provider.exchange("code", "verifier")
        with pytest.raises(ProviderUnavailable):
            await sign_in(fake, provider)


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (400, {"error": "invalid_grant"}, ProviderRefused),
        (400, {"error": "invalid_client"}, ProviderUnavailable),
        (401, {"error": "invalid_grant"}, ProviderUnavailable),
        (400, {"error": ["invalid_grant"]}, ProviderUnavailable),
        (200, {"access_token": "x"}, ProviderUnavailable),
        (200, {"id_token": 7}, ProviderUnavailable),
        (400, {"id_token": "a.b.c"}, ProviderUnavailable),
    ],
)
async def test_what_is_wrong_with_a_code_is_told_from_what_is_wrong_with_us(
    fake: FakeProvider, provider: Provider, status: int, said: Any, error: type[Exception]
) -> None:
    """Only the first is for the person: begin again. The rest is for the operator."""
    fake.answers["/token"] = answering(status, json.dumps(said).encode())

    with pytest.raises(error):
        await provider.exchange("code", "verifier")


async def test_a_code_arrives_as_it_was(fake: FakeProvider, provider: Provider) -> None:
    """Whatever the provider makes its codes of."""
    with pytest.raises(ProviderRefused):
        await provider.exchange("é&=+ %#", "verifier")

    assert fake.forms == [
        {
            "grant_type": "authorization_code", "code": "é&=+ %#", "code_verifier": "verifier",
            "redirect_uri": provider.redirect_uri, "client_id": CLIENT_ID,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": None}, {"issuer": "https://evil.example"}, {"issuer": 7}, {"issuer": ""},
        {"authorization_endpoint": None}, {"token_endpoint": None}, {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"}, {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": ["https://login.example/keys"]}, {"token_endpoint": "https://a@b.example/"},
        {"token_endpoint": "https://login.example\\@10.0.0.1/"}, {"jwks_uri": "keys"},
        {"end_session_endpoint": "javascript:alert(1)"}, {"end_session_endpoint": ""},
        {"authorization_endpoint": "https://login.example/#x"},
    ],
)  # fmt: skip
async def test_a_document_of_somebody_else_is_refused(
    fake: FakeProvider, provider: Provider, changes: dict[str, Any]
) -> None:
    """Another issuer, an address that is missing, or one to which nobody should be led."""
    fake.changes = changes

    with pytest.raises(ProviderUnavailable):
        await provider.metadata()


@pytest.mark.parametrize("difference", ["/", "?", " ", "x"])
async def test_the_issuer_is_compared_letter_by_letter(
    fake: FakeProvider, inside: Outbound, clock: SetClock, difference: str
) -> None:
    """As the standard wants it: what is nearly the issuer is another."""
    fake.changes = {"issuer": fake.issuer + difference}

    with pytest.raises(ProviderUnavailable):
        await provider_of(fake.issuer, inside, clock).metadata()


async def test_an_issuer_that_ends_with_a_slash_has_its_document_below(
    fake: FakeProvider, inside: Outbound, clock: SetClock
) -> None:
    """As some providers write theirs."""
    fake.changes = {"issuer": f"{fake.issuer}/"}

    found = await provider_of(f"{fake.issuer}/", inside, clock).metadata()

    assert found.token_endpoint == f"{fake.url}/token"


def test_addresses_are_https_unless_the_provider_is_ours(fake: FakeProvider) -> None:
    """Codes and secrets go there."""
    document = {
        "issuer": "https://login.example",
        "authorization_endpoint": "https://login.example/authorize",
        "token_endpoint": "https://login.example/token",
        "jwks_uri": "https://login.example/keys",
    }
    issuer = document["issuer"]
    assert parse(json.dumps(document).encode(), issuer=issuer, private=False)

    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        plain = {**document, name: "http://login.example/"}
        with pytest.raises(MetadataUnusable, match=name):
            parse(json.dumps(plain).encode(), issuer=issuer, private=False)
        assert parse(json.dumps(plain).encode(), issuer=issuer, private=True)


async def test_nothing_inside_our_network_is_asked(fake: FakeProvider, clock: SetClock) -> None:
    """Neither the issuer itself, nor where its document leads."""
    async with Outbound(private=False, timeout_s=0.5) as outside:
        with pytest.raises(ProviderUnavailable):
            await provider_of(fake.issuer.replace("http:", "https:"), outside, clock).metadata()
        provider = provider_of(fake.issuer, outside, clock)
        provider._metadata = parse(
            json.dumps(fake.document).encode(), issuer=fake.issuer, private=True
        )
        provider._read_at = clock.at
        with pytest.raises(ProviderUnavailable):
            await provider.exchange("code", "verifier")

    assert not fake.asked


@pytest.mark.parametrize("answer", MISBEHAVIOURS)
async def test_keys_that_cannot_be_read_refuse_for_the_moment(
    fake: FakeProvider, provider: Provider, clock: SetClock, answer: Behaviour
) -> None:
    """With those that are known people go on signing in; a new one has to wait."""
    fake.answers["/keys"] = answer
    with pytest.raises(ProviderUnavailable):
        await sign_in(fake, provider)

    del fake.answers["/keys"]
    clock.at += AGAIN_S
    assert await sign_in(fake, provider) == "7"
    fake.answers["/keys"] = answer
    clock.at += AGAIN_S
    assert await sign_in(fake, provider) == "7"
    fake.login.rotate()
    with pytest.raises((ProviderUnavailable, IdTokenWrong)):
        await sign_in(fake, provider)


async def test_a_withdrawn_key_is_refused_after_five_minutes(
    fake: FakeProvider, provider: Provider, clock: SetClock
) -> None:
    """Though nobody has shown a new one: the set is read again before a sign-in."""
    stolen = fake.login.signing[-1]
    assert await sign_in(fake, provider) == "7"
    fake.login.rotate(keep=0)
    fake.login.key_set()
    published = fake.login.signing
    fake.answers["/keys"] = answering(200, fake.login.key_set())
    fake.login.signing = [stolen]
    clock.at += 299
    assert await sign_in(fake, provider) == "7"

    clock.at += 1
    with pytest.raises((IdTokenWrong, ProviderUnavailable)):
        await sign_in(fake, provider)
    fake.login.signing = published
    assert await sign_in(fake, provider) == "7"


async def sign_in(fake: FakeProvider, provider: Provider) -> str:
    """Return who has signed in, by an ID token of the fake."""
    fake.person = "7"
    tokens = Tokens("", fake.issuer, CLIENT_ID, key_set=await provider.key_set(), requires_id=False)
    return await verify(tokens, fake.make_id_token({"nonce": "n"}), nonce="n")
