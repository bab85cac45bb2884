"""Sign-ins with a provider that must not succeed, and what the person sees then."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth.oidc.attempts import Attempt
from gateway.auth.oidc.browser_sessions import BrowserSession
from gateway.auth.oidc.sealed import Seal
from gateway.limits import KeyedRate
from tests.fakes.login import FakeLogin, new_key
from tests.fakes.provider import CLIENT_ID, SECRET, FakeProvider
from tests.support import desk as office
from tests.support.desk import OKSANA, Desk, RunningNode
from tests.support.signing_in import (
    PUBLIC,
    SigningBrowser,
    code_of,
    dismiss,
    settings_for,
    subject_of,
)

CALLBACK = f"{PUBLIC}/v1/sign-in/callback"
NOT_BEGUN = (400, "sign_in.not_begun")
REFUSED = (403, "sign_in.refused")
NOW = int(time.time())

ATTEMPT, SESSION = "crm-gateway-sign-in", "crm-gateway-session"


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(person=subject_of(OKSANA)) as provider:
        yield provider


@pytest.fixture
async def node(empty_desk: Desk, provider: FakeProvider) -> RunningNode:
    return await empty_desk.start_node(**settings_for(provider))


async def outcome(browser: SigningBrowser, url: str) -> tuple[int, str]:
    """Return status and code of a callback, which must give no session."""
    answer = await browser.get(url)
    assert SESSION not in browser.cookies, "signed in"
    return answer.status_code, code_of(answer)


def with_answer(url: str, **changes: str | None) -> str:
    """Return the address of the callback with other parameters; None leaves one out."""
    given: dict[str, Any] = {**parse_qs(urlsplit(url).query), **changes}
    left = {name: value for name, value in given.items() if value is not None}
    return f"{CALLBACK}?{urlencode(left, doseq=True)}"


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"exp": NOW - 3_600}, {"exp": None}, {"exp": "soon"}, {"nbf": NOW + 3_600},
    {"iat": None}, {"iat": NOW - 3_600}, {"iat": NOW + 3_600}, {"iat": "now"},
    {"nonce": None}, {"nonce": "another"}, {"nonce": 7}, {"nonce": ""}, {"nonce": ["x"]},
    {"aud": "another"}, {"aud": None}, {"aud": []}, {"aud": [CLIENT_ID, "another"]},
    {"aud": {"a": CLIENT_ID}}, {"aud": CLIENT_ID.upper()},
    {"azp": "another"}, {"aud": [CLIENT_ID, "another"], "azp": "another"}, {"azp": ["x"]},
    {"iss": "https://another.example"}, {"iss": None}, {"iss": ""},
    {"sub": None}, {"sub": ""}, {"sub": "0007"}, {"sub": "-1"}, {"sub": "1.0"}, {"sub": True},
    {"sub": {"id": 1}}, {"sub": "a b"}, {"sub": "x" * 256}, {"sub": "a\0"}, {"sub": str(2**64)},
]  # fmt: skip


async def test_an_id_token_that_is_wrong_signs_nobody_in(
    node: RunningNode, provider: FakeProvider
) -> None:
    """In each claim that says who it is from, for whom, for which sign-in and until when."""
    for claims in WRONG_CLAIMS:
        provider.claims = claims
        browser = SigningBrowser(node.url)
        back = await provider.authorize(await browser.begin())

        found = await outcome(browser, back)

        assert found == (502, "sign_in.id_token_invalid"), claims
        assert browser.cookies == {}
    for near in (f"{provider.issuer}/", provider.issuer.upper(), provider.url):
        provider.claims = {"iss": near}
        browser = SigningBrowser(node.url)
        back = await provider.authorize(await browser.begin())
        assert (await outcome(browser, back))[0] == 502, near


async def test_an_id_token_may_say_the_same_otherwise(
    node: RunningNode, provider: FakeProvider
) -> None:
    """A list of audiences with the party to whom it was issued; a time within the leeway."""
    for claims in (
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID},
        {"azp": CLIENT_ID},
        {"exp": NOW + 3_600, "iat": int(time.time()) + 5},
        {"exp": int(time.time()) - 5},
        {"jti": None},
    ):
        provider.claims = claims
        browser = SigningBrowser(node.url)
        await browser.sign_in(provider)
        assert SESSION in browser.cookies, claims


async def test_only_the_providers_keys_sign(node: RunningNode, provider: FakeProvider) -> None:
    """Not nobody, no secret that both know, no public key as a secret, no stranger."""
    async with FakeLogin("ES256") as stranger:
        key, rsa = provider.login.signing[-1], new_key("RS256")
        stranger.signing[-1].kid = key.kid
        pem = key.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        forgers: list[Callable[[dict[str, Any]], str]] = [
            lambda claims: jwt.encode(claims, "", algorithm="none"),
            lambda claims: jwt.encode(claims, "", algorithm="none", headers={"kid": key.kid}),
            lambda claims: jwt.encode(claims, SECRET, algorithm="HS256"),
            lambda claims: jwt.encode(claims, office.SECRET, algorithm="HS256"),
            lambda claims: _hmac(claims, pem),
            lambda claims: stranger.token(None, **claims),
            lambda claims: jwt.encode(
                claims, key.key, algorithm="ES256", headers={"kid": key.kid, "crit": ["x"], "x": 1}
            ),
            lambda claims: jwt.encode(claims, rsa, algorithm="RS384", headers={"kid": key.kid}),
            lambda claims: provider.login.token(None, **claims)[:-8],
            lambda claims: provider.login.token(None, **claims, padding="x" * 40_000),
            lambda claims: "",
            lambda claims: "a.b.c",
            lambda claims: "é",
        ]
        for forge in forgers:
            browser = SigningBrowser(node.url)
            url = await browser.begin()
            nonce = parse_qs(urlsplit(url).query)["nonce"][0]
            claims = {
                "sub": subject_of(OKSANA), "iss": provider.issuer, "aud": CLIENT_ID,
                "nonce": nonce, "iat": NOW, "exp": NOW + 600,
            }  # fmt: skip
            provider.id_token = forge(claims) or "."

            status, code = await outcome(browser, await provider.authorize(url))

            assert (status, code) in {
                (502, "sign_in.id_token_invalid"),
                (503, "sign_in.provider_unavailable"),  # whether the key is new must wait
            }
        provider.id_token = provider.login.token(None, **claims)  # the same, rightly signed
        browser = SigningBrowser(node.url)
        assert (await outcome(browser, await provider.authorize(await browser.begin())))[0] == 502


def _hmac(claims: dict[str, Any], key: bytes) -> str:
    """Return a token whose HMAC was made with a public key; PyJWT makes none."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, claims)]
    signed = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    made = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


async def test_a_callback_needs_the_browser_that_began(
    node: RunningNode, provider: FakeProvider
) -> None:
    """A state that is missing, forged or another's costs no question to the provider."""
    mine, other = SigningBrowser(node.url), SigningBrowser(node.url)
    back = await provider.authorize(await mine.begin())
    others = await provider.authorize(await other.begin())
    state = parse_qs(urlsplit(back).query)["state"][0]

    for url in (
        with_answer(back, state=None), with_answer(back, state=""),
        with_answer(back, state=state[:-1]), with_answer(back, state=f"{state}é"),
        with_answer(back, state="x" * 5_000), f"{back}&state={state}", f"{back}&code=1",
        others, CALLBACK,
    ):  # fmt: skip
        assert await outcome(mine, url) == NOT_BEGUN, url
    nobody = SigningBrowser(node.url)
    assert await outcome(nobody, back) == NOT_BEGUN

    assert provider.asked["/token"] == 0
    assert (await mine.get(back)).status_code == 303  # it is still good for whom it was made


async def test_a_cookie_is_good_as_it_was_made_and_for_what(
    node: RunningNode, provider: FakeProvider
) -> None:
    """Not changed anywhere, not for another purpose, not later, not of another gateway."""
    browser = SigningBrowser(node.url)
    back = await provider.authorize(await browser.begin())
    made = browser.cookies[ATTEMPT]
    state = parse_qs(urlsplit(back).query)["state"][0]
    past = datetime.now(UTC) - timedelta(seconds=1)
    seal, strange = Seal(office.SECRET), Seal("the secret of another gateway, long")
    fields = {"state": state, "nonce": "n", "verifier": "v", "route": ""}
    session = BrowserSession("id", subject_of(OKSANA), datetime.now(UTC) + timedelta(hours=1))

    changed = [
        made[:place] + ("A" if made[place] != "A" else "B") + made[place + 1 :]
        for place in range(0, len(made) - 1, 7)
    ]
    head, body, _ = made.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for cookie in (
        *changed, "", "x", "a.b.c", f"{head}.{body}.", f"{unsigned}.{body}.", made * 20,
        seal.close("attempt", fields, until=past), session.sealed(seal),
        seal.close("session", fields, until=session.ends_at),
        Attempt(state, "n", "v").sealed(strange),
        jwt.encode({**fields, "aud": "attempt", "exp": NOW + 600}, office.SECRET),
    ):  # fmt: skip
        browser.cookies[ATTEMPT] = cookie
        assert await outcome(browser, back) == NOT_BEGUN, cookie
    assert provider.asked["/token"] == 0

    own = session.sealed(seal)
    assert await _status(node, own) == 200
    for cookie in (
        made, own[:-2], own.replace(".", "_"), seal.close("session", {"id": "1"}, until=past),
        session.sealed(strange), BrowserSession("id", session.subject, past).sealed(seal),
        jwt.encode({"sub": "1", "id": "1", "aud": "session", "exp": NOW + 600}, office.SECRET),
    ):  # fmt: skip
        assert await _status(node, cookie) == 401, cookie


async def _status(node: RunningNode, cookie: str) -> int:
    browser = SigningBrowser(node.url)
    browser.cookies[SESSION] = cookie
    return (await browser.token()).status_code


async def test_a_code_is_good_once_on_whichever_node(
    empty_desk: Desk, provider: FakeProvider
) -> None:
    """Whoever copied cookie and address comes too late, and is told to begin again."""
    nodes = [await empty_desk.start_node(**settings_for(provider)) for _ in range(2)]
    browser = SigningBrowser(nodes[0].url)
    back = await provider.authorize(await browser.begin())
    thief = SigningBrowser(nodes[1].url)
    thief.cookies = dict(browser.cookies)
    assert (await browser.get(back)).status_code == 303

    for node in nodes:
        again = SigningBrowser(node.url)
        again.cookies = dict(thief.cookies)
        assert await outcome(again, back) == REFUSED


async def test_a_code_of_another_sign_in_is_refused(
    node: RunningNode, provider: FakeProvider
) -> None:
    """Put into somebody's callback, it would sign them in as somebody else: PKCE says no."""
    thief, mine = SigningBrowser(node.url), SigningBrowser(node.url)
    code = parse_qs(urlsplit(await provider.authorize(await thief.begin())).query)["code"][0]
    back = await provider.authorize(await mine.begin())

    assert await outcome(mine, with_answer(back, code=code)) == REFUSED


async def test_the_providers_refusal_is_shown_and_not_repeated(
    node: RunningNode, provider: FakeProvider
) -> None:
    """Whatever is in the address stays out of the page, which has a policy of its own."""
    script = "<script>evil(1)</script>\"'>"
    for error in ("access_denied", "login_required", script, ""):
        provider.refuses = error or " "
        browser = SigningBrowser(node.url)
        back = await provider.authorize(await browser.begin("/conversations/7"))

        answer = await browser.get(with_answer(back, error_description=script, code=None))

        assert (answer.status_code, code_of(answer)) == REFUSED
        assert "evil" not in answer.text
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert f"{PUBLIC}/v1/sign-in?return=%2Fconversations%2F7" in answer.text
    assert provider.asked["/token"] == 0


@pytest.mark.parametrize("promised", [True, False])
async def test_an_answer_of_another_provider_is_refused(
    empty_desk: Desk, provider: FakeProvider, promised: bool
) -> None:
    """A mix-up: `iss` names another issuer, or is missing where the provider promises it."""
    provider.changes["authorization_response_iss_parameter_supported"] = promised
    node = await empty_desk.start_node(**settings_for(provider))
    for issuer in ("https://evil.example", f"{provider.issuer}/", "", *[None] * promised):
        browser = SigningBrowser(node.url)
        back = await provider.authorize(await browser.begin())
        assert await outcome(browser, with_answer(back, iss=issuer)) == REFUSED
    assert provider.asked["/token"] == 0

    browser = SigningBrowser(node.url)
    assert (await browser.sign_in(provider)).status_code == 303


HOSTILE = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/",
    "javascript:alert(1)", "data:text/html,x", "/%2f/evil.example", "/..//evil.example",
    "///evil.example", "/\tevil", "/\r\nSet-Cookie: x=1", "evil.example", "@evil.example", "/a b",
    "/é", "/?token=x", "/conversations/7&token=x", "token=eyJ", "/#token=x", "/" + "x" * 65,
    "/x" * 9, "/conversations/7/", "/\0", ".", "/.",
]  # fmt: skip


async def test_a_sign_in_returns_to_the_page_alone(
    node: RunningNode, provider: FakeProvider
) -> None:
    """To a route of it; what is none is dropped."""
    for route in HOSTILE:
        browser = SigningBrowser(node.url)
        landed = await browser.sign_in(provider, route)
        assert landed.headers["location"] == f"{PUBLIC}/", route


async def test_other_sites_cannot_use_a_session(node: RunningNode, provider: FakeProvider) -> None:
    """Pages of another host of the same site send its cookies along: their origin is refused."""
    browser = SigningBrowser(node.url)
    await browser.sign_in(provider)

    for origin in (None, "null", "http://evil.gateway.test", "https://gateway.test",
                   "http://gateway.test:8080", "http://gateway.test.evil.example"):  # fmt: skip
        for path in ("/v1/sign-in/token", "/v1/sign-out"):
            answer = await browser.post(path, origin=origin)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin.refused")
    assert (await browser.token()).status_code == 200


async def test_only_active_employees_come_in(
    empty_desk: Desk, node: RunningNode, provider: FakeProvider
) -> None:
    """The provider may know more people than the CRM."""
    await dismiss(empty_desk, OKSANA)
    for person in (subject_of(OKSANA), "999999", "6f9619ff-8b86-4011-b42d-00c04fc964ff"):
        provider.person = person
        browser = SigningBrowser(node.url)
        back = await provider.authorize(await browser.begin())
        assert await outcome(browser, back) == (403, "employee.disabled")
        assert browser.cookies == {}


async def test_sign_ins_are_anonymous_requests(empty_desk: Desk, provider: FakeProvider) -> None:
    """Of one address as many as the setting says, callbacks and tokens included."""
    node = await empty_desk.start_node(
        **settings_for(provider, anonymous_per_s=0.001, anonymous_burst=4)
    )
    browser = SigningBrowser(node.url)
    await browser.sign_in(provider)
    assert (await browser.token()).status_code == 200
    await browser.begin()

    statuses = [
        (await browser.get(f"{PUBLIC}/v1/sign-in")).status_code,
        (await browser.get(CALLBACK)).status_code,
        (await browser.token()).status_code,
    ]

    assert statuses == [429, 429, 429]


async def test_one_address_cannot_keep_the_provider_busy(
    node: RunningNode, provider: FakeProvider
) -> None:
    """Callbacks with any code each ask it, and a worker asks few at a time; others wait."""
    node.app.state.exchanges_rate = KeyedRate(0.001, 3)
    outcomes = []
    for _ in range(5):
        browser = SigningBrowser(node.url)
        back = await provider.authorize(await browser.begin())
        outcomes.append(await outcome(browser, with_answer(back, code="any")))

    assert outcomes == [REFUSED] * 3 + [(429, "limit.anonymous")] * 2
    assert provider.asked["/token"] == 3
