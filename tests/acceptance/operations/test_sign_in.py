"""Sign-in on the page with an OpenID Connect provider, as it goes when all is well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from gateway.auth.oidc import browser_sessions
from gateway.client import Connection, ConnectionEnded, connect
from gateway.protocol import TokenRefresh
from tests.acceptance.operations.test_logins import status_of
from tests.fakes.provider import FakeProvider
from tests.support.desk import OKSANA, PETRO, Desk, RunningNode, eventually
from tests.support.signing_in import (
    PUBLIC,
    SigningBrowser,
    code_of,
    dismiss,
    settings_for,
    subject_of,
)


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(person=subject_of(OKSANA)) as provider:
        yield provider


@pytest.fixture
async def node(empty_desk: Desk, provider: FakeProvider) -> RunningNode:
    return await empty_desk.start_node(**settings_for(provider))


async def ended(connection: Connection) -> int | None:
    """Return the code with which a connection ends."""
    try:
        while True:
            await connection.next(timeout_s=60)
    except ConnectionEnded as end:
        return end.code


async def test_a_person_signs_in_and_works(node: RunningNode, provider: FakeProvider) -> None:
    """From the page to the provider and back; then a token opens the socket and REST."""
    browser = SigningBrowser(node.url)
    assert not await browser.session()

    landed = await browser.sign_in(provider, "/conversations/7/messages/3")

    assert landed.status_code == 303
    assert landed.headers["location"] == f"{PUBLIC}/#/conversations/7/messages/3"
    assert await browser.session()
    given = (await browser.token()).json()
    assert given["employee_id"] == OKSANA
    assert (await status_of(node.url, given["token"]))[0] == 200
    async with connect(node.socket_url, given["token"]) as connection:
        assert connection.welcome.user.id == OKSANA


async def test_the_provider_is_asked_as_the_standard_says(
    node: RunningNode, provider: FakeProvider
) -> None:
    """Code flow, PKCE with S256, state and nonce, all new each time; the rest is the fake's."""
    asked = [parse_qs(urlsplit(await SigningBrowser(node.url).begin()).query) for _ in range(2)]

    assert asked[0]["redirect_uri"] == [f"{PUBLIC}/v1/sign-in/callback"]
    assert asked[0]["response_type"] == ["code"]
    assert asked[0]["scope"] == ["openid"]
    for secret in ("state", "nonce", "code_challenge"):
        assert len(asked[0][secret][0]) >= 43, secret
        assert asked[0][secret] != asked[1][secret]


@pytest.mark.parametrize(
    ("secret", "methods"),
    [
        (None, ["none"]),
        ("with : and %", None),
        ("with é", ["client_secret_basic", "client_secret_post"]),
        ("in the form", ["client_secret_post"]),
    ],
)
async def test_a_client_shows_its_secret_as_the_provider_takes_it(
    empty_desk: Desk, provider: FakeProvider, secret: str | None, methods: list[str] | None
) -> None:
    """Or none, when it is a public client."""
    provider.secret, provider.methods = secret, methods
    node = await empty_desk.start_node(**settings_for(provider))
    browser = SigningBrowser(node.url)

    await browser.sign_in(provider)

    assert await browser.session()


async def test_any_node_goes_on_with_a_sign_in(empty_desk: Desk, provider: FakeProvider) -> None:
    """Begun at one, finished at another, tokens from a third; none keeps anything of it."""
    nodes = [await empty_desk.start_node(**settings_for(provider)) for _ in range(3)]
    browser = SigningBrowser(nodes[0].url)
    url = await browser.begin()

    browser.node_url = nodes[1].url
    await browser.get(await provider.authorize(url))
    browser.node_url = nodes[2].url

    assert (await browser.token()).json()["employee_id"] == OKSANA


async def test_scripts_and_other_sites_do_not_get_the_cookies(
    empty_desk: Desk, provider: FakeProvider
) -> None:
    """HttpOnly; Lax for the way back, then Strict; by https Secure and __Host-."""
    for public, prefix in ((PUBLIC, ""), ("https://gateway.test/below", "__Host-")):
        node = await empty_desk.start_node(**settings_for(provider, public_url=public))
        browser = SigningBrowser(node.url, public=public)

        url = await browser.begin()
        (attempt,) = browser.set.values()
        landed = await browser.get(await provider.authorize(url))

        assert attempt.startswith(f"{prefix}crm-gateway-sign-in=")
        assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=600"} <= set(attempt.split("; "))
        session = browser.set[f"{prefix}crm-gateway-session"]
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(session.split("; "))
        assert "Domain" not in attempt + session
        assert ("Secure" in attempt.split("; ")) is bool(prefix)
        assert ("Secure" in session.split("; ")) is bool(prefix)
        assert list(browser.cookies) == [f"{prefix}crm-gateway-session"]
        assert landed.headers["location"] == f"{public}/"
        assert (await browser.token()).status_code == 200


async def test_a_cookie_that_another_host_may_have_set_signs_nobody_in(
    empty_desk: Desk, provider: FakeProvider
) -> None:
    """A browser guards names that begin with __Host-; of two alike one may be somebody else's."""
    public = "https://gateway.test"
    node = await empty_desk.start_node(**settings_for(provider, public_url=public))
    browser = SigningBrowser(node.url, public=public)
    await browser.sign_in(provider)
    [(name, value)] = browser.cookies.items()
    assert await browser.session()

    for cookies in (
        *({f"{space}{name}": value} for space in ("\xa0", "\x85", "\xad", "=")),
        {f"{name}\xa0": value},
        {name.lower(): value},
        {name: "of another", f"x; {name}": value},
        {name: value, f"x; {name}": "of another"},
    ):
        browser.cookies = cookies
        assert not await browser.session(), cookies
        assert (await browser.token()).status_code == 401, cookies


async def test_nothing_secret_is_in_an_address(node: RunningNode, provider: FakeProvider) -> None:
    """Neither the verifier, nor a token: addresses are logged and shared."""
    browser = SigningBrowser(node.url)
    url = await browser.begin()
    back = await provider.authorize(url)

    landed = await browser.get(back)

    verifier = provider.forms[0]["code_verifier"]
    token = (await browser.token()).json()["token"]
    for address in (url, back, landed.headers["location"]):
        assert verifier not in address
        assert token not in address
        assert "eyJ" not in address


async def test_a_session_goes_on_with_new_tokens(
    node: RunningNode, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """token.refresh with the next token of the same sign-in; the provider is not asked again."""
    browser = SigningBrowser(node.url)
    await browser.sign_in(provider)
    asked = provider.asked.copy()
    monkeypatch.setattr(browser_sessions, "TOKEN_S", 60)
    first = (await browser.token()).json()
    monkeypatch.undo()

    async with connect(node.socket_url, first["token"]) as connection:
        second = (await browser.token()).json()
        refreshed = await connection.request(TokenRefresh(token=second["token"]))

    assert second["expires_at"] > first["expires_at"]
    left = refreshed.token_expires_at - datetime.now(UTC)
    assert timedelta(minutes=10) < left <= timedelta(seconds=browser_sessions.TOKEN_S)
    assert provider.asked == asked


@pytest.mark.slow
async def test_no_token_outlives_its_session(empty_desk: Desk, provider: FakeProvider) -> None:
    """Nor the longest lifetime that the settings allow."""
    for changes in ({"oidc_session_s": 300}, {"token_max_s": 60}):
        node = await empty_desk.start_node(**settings_for(provider, **changes))
        browser = SigningBrowser(node.url)
        await browser.sign_in(provider)

        given = (await browser.token()).json()

        left = datetime.fromisoformat(given["expires_at"]) - datetime.now(UTC)
        assert left <= timedelta(seconds=min(changes.values()))
        assert (await status_of(node.url, given["token"]))[0] == 200


async def test_sign_out_ends_all_windows_of_the_browser(
    empty_desk: Desk, provider: FakeProvider
) -> None:
    """On any node; other browsers of the person go on. The provider says where its session ends."""
    nodes = [await empty_desk.start_node(**settings_for(provider)) for _ in range(2)]
    mine, other = (SigningBrowser(node.url) for node in nodes)
    for browser in (mine, other):
        await browser.sign_in(provider)
    tokens = [(await mine.token()).json()["token"] for _ in range(2)]
    others = (await other.token()).json()["token"]
    kept = dict(mine.cookies)

    async with (
        connect(nodes[0].socket_url, tokens[0], reconnect=False) as one,
        connect(nodes[1].socket_url, tokens[1], reconnect=False) as two,
        connect(nodes[0].socket_url, others) as third,
    ):
        answer = await mine.post("/v1/sign-out")
        assert [await ended(window) for window in (one, two)] == [4001, 4001]
        await third.request(TokenRefresh(token=(await other.token()).json()["token"]))

    url = answer.json()["url"]
    assert url.startswith(f"{provider.url}/end?")
    assert parse_qs(urlsplit(url).query)["post_logout_redirect_uri"] == [f"{PUBLIC}/"]
    assert mine.cookies == {}
    mine.cookies = kept  # whoever copied the cookie has nothing of it
    assert (await mine.token()).json()["error"]["code"] == "token.revoked"
    assert (await status_of(nodes[0].url, others))[0] == 200


async def test_sign_out_does_not_need_the_provider(
    empty_desk: Desk, provider: FakeProvider
) -> None:
    """Neither its endpoint for that, nor any answer."""
    provider.changes["end_session_endpoint"] = None
    node = await empty_desk.start_node(**settings_for(provider))
    browser = SigningBrowser(node.url)
    await browser.sign_in(provider)

    assert (await browser.post("/v1/sign-out")).json() == {"url": None}
    assert not await browser.session()
    assert (await browser.post("/v1/sign-out")).json()["error"]["code"] == "sign_in.needed"


async def test_a_rotated_key_of_the_provider_is_got_when_it_is_used(
    node: RunningNode, provider: FakeProvider
) -> None:
    """At once, and those that were withdrawn are no longer good."""
    await SigningBrowser(node.url).sign_in(provider)
    asked = provider.asked["/keys"]
    node.app.state.gateway.sign_in.provider._key_set[1]._tried_at -= 1

    for algorithm in ("RS256", "EdDSA"):
        provider.login.rotate(algorithm, keep=0)
        browser = SigningBrowser(node.url)
        await browser.sign_in(provider)
        assert await browser.session()
        node.app.state.gateway.sign_in.provider._key_set[1]._tried_at -= 1

    assert provider.asked["/keys"] == asked + 2


@pytest.mark.slow
async def test_a_replaced_secret_of_the_gateway_ends_no_session(
    empty_desk: Desk, provider: FakeProvider
) -> None:
    """Cookies are accepted by the secrets that tokens are accepted by, and by no other."""
    old, new = "the old secret of thirty-two bytes", "the new secret of thirty-two bytes"
    before, after, without = [
        await empty_desk.start_node(
            **settings_for(
                provider,
                token_secret=SecretStr(secret),
                token_accepted_secrets=tuple(map(SecretStr, accepted)),
            )
        )
        for secret, accepted in ((old, []), (new, [old]), (new, []))
    ]
    browser = SigningBrowser(before.url)
    await browser.sign_in(provider)

    browser.node_url = after.url
    assert (await browser.token()).status_code == 200
    browser.node_url = without.url
    assert (await browser.token()).status_code == 401


async def test_another_claim_may_have_the_employees_id(
    empty_desk: Desk, provider: FakeProvider
) -> None:
    """Where `sub` is the provider's own number of the person."""
    provider.person = "f3c0e7a1-9d7a-4b9e-8f6a-000000000000"
    provider.claims["crm_id"] = subject_of(PETRO)
    node = await empty_desk.start_node(
        **settings_for(provider, oidc_subject_claim="crm_id", oidc_scopes="openid crm")
    )
    browser = SigningBrowser(node.url)
    url = await browser.begin()
    assert parse_qs(urlsplit(url).query)["scope"] == ["openid crm"]

    await browser.get(await provider.authorize(url))

    assert (await browser.token()).json()["employee_id"] == PETRO


async def test_without_a_provider_there_is_nothing(small_desk: Desk) -> None:
    """The page is told that there is none; the other routes do not exist."""
    http = small_desk.http()

    assert (await http.get("/v1/sign-in/methods")).json() == {"provider": None}
    for method, path in (
        ("GET", "/v1/sign-in"),
        ("GET", "/v1/sign-in/callback?state=1&code=2"),
        ("POST", "/v1/sign-in/token"),
        ("POST", "/v1/sign-out"),
    ):
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_an_id_as_text_signs_in(empty_desk: Desk, provider: FakeProvider) -> None:
    """`sub` is the CRM's own id of the employee, a UUID: its tokens are those of its number."""
    own = "7d9f1f0e-0000-4000-8000-00000000abcd"
    await empty_desk.sql(
        "CREATE OR REPLACE VIEW crm.employees AS"
        f" SELECT realtime.id_of('employee', '{own}') AS id, 'Ada'::text AS name,"
        " NULL::text AS department, NULL::text AS position, NULL::text AS avatar_url,"
        f" true AS active, '{own}'::text AS external_id, NULL::text AS url"
    )
    provider.person = own
    node = await empty_desk.start_node(**settings_for(provider))
    browser = SigningBrowser(node.url)
    await browser.sign_in(provider)

    given = (await browser.token()).json()

    async with connect(node.socket_url, given["token"]) as connection:
        assert connection.welcome.user.id == given["employee_id"] > 2**52
        assert connection.welcome.user.external_id == own


async def test_the_dismissed_lose_their_session(
    empty_desk: Desk, node: RunningNode, provider: FakeProvider
) -> None:
    """At the next token, whatever the provider thinks; and they cannot begin another."""
    browser = SigningBrowser(node.url)
    await browser.sign_in(provider)
    await dismiss(empty_desk, OKSANA)

    assert (await browser.token()).json()["error"]["code"] == "employee.disabled"
    landed = await SigningBrowser(node.url).sign_in(provider)
    assert (landed.status_code, code_of(landed)) == (403, "employee.disabled")


async def test_revoking_one_token_of_a_sign_in_ends_it(
    empty_desk: Desk, node: RunningNode, provider: FakeProvider
) -> None:
    """All its tokens have one `jti`."""
    browser = SigningBrowser(node.url)
    await browser.sign_in(provider)
    token = (await browser.token()).json()["token"]
    token_id = empty_desk.tokens.verify(token).token_id
    later = (await browser.token()).json()["token"]

    await empty_desk.sql("INSERT INTO realtime.revoked_tokens (token_id) VALUES ($1)", token_id)

    assert (await browser.token()).json()["error"]["code"] == "token.revoked"

    async def refused() -> bool:
        return (await status_of(node.url, later))[1] == "token.revoked"

    await eventually(refused)
