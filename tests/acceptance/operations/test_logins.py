"""Logins of CRMs at a whole gateway: their keys, their claims, and what is wrong with a token."""

from __future__ import annotations

import httpx2
import pytest
from pydantic import SecretStr

from gateway.auth.key_set import AGAIN_S
from gateway.client import ConnectionEnded, RequestRefused, connect
from gateway.protocol import TokenRefresh
from tests.fakes.login import FakeLogin
from tests.support.desk import OKSANA, SECRET, Desk


async def status_of(node_url: str, token: str) -> tuple[int, str | None]:
    """Return HTTP status and error code of a request with this token."""
    async with httpx2.AsyncClient(base_url=node_url) as http:
        answer = await http.get(
            "/v1/messenger/unread-count", headers={"authorization": f"Bearer {token}"}
        )
    return answer.status_code, answer.json().get("error", {}).get("code")


async def test_a_login_with_a_key_set_opens_sockets_and_rest(empty_desk: Desk) -> None:
    """Its plain tokens: a numeric subject, no issuer, no audience, no id."""
    async with FakeLogin("RS256") as login:
        node = await empty_desk.start_node(
            token_jwks_url=login.keys_url, token_jwks_private=True, token_issuer="",
            token_audience="", token_requires_jti=False,
        )  # fmt: skip
        token = login.token(None, sub=str(OKSANA), iss=None, aud=None, jti=None)

        async with connect(node.socket_url, token) as connection:
            assert connection.welcome.user.id == OKSANA
        assert (await status_of(node.url, token))[0] == 200
        async with FakeLogin("RS256") as stranger:
            forged = stranger.token(None, sub=str(OKSANA), iss=None, aud=None, jti=None)
            assert (await status_of(node.url, forged))[0] in {401, 503}


async def test_a_session_goes_on_with_a_token_of_a_rotated_key(empty_desk: Desk) -> None:
    """token.refresh with the next key of the login."""
    async with FakeLogin("ES256") as login:
        node = await empty_desk.start_node(token_jwks_url=login.keys_url, token_jwks_private=True)
        async with connect(node.socket_url, login.token(OKSANA)) as connection:
            login.rotate()
            again = TokenRefresh(token=login.token(OKSANA))
            with pytest.raises(RequestRefused) as refused:
                await connection.request(again)  # the set was got a moment ago
            assert refused.value.retry_after is not None
            key_set = node.app.state.gateway.node.tokens.key_set
            key_set._tried_at -= AGAIN_S
            assert (await connection.request(again)).token_expires_at


async def test_both_secrets_of_a_rotation_open_the_door(empty_desk: Desk) -> None:
    """And a third does not."""
    other = "another secret of thirty-two bytes"
    node = await empty_desk.start_node(token_accepted_secrets=(SecretStr(other),))
    tokens = empty_desk.tokens
    assert tokens.secret == SECRET

    for secret, status in (
        (SECRET, 200),
        (other, 200),
        ("a third of thirty-two whole bytes!", 401),
    ):
        made = type(tokens)(secret, tokens.issuer, tokens.audience).issue(OKSANA)
        assert (await status_of(node.url, made))[0] == status


async def test_a_login_that_is_away_is_no_reason_to_sign_out(empty_desk: Desk) -> None:
    """Its tokens are refused for now, with the time to come back, and not as forged."""
    async with FakeLogin("ES256") as login:
        url, token = login.keys_url, login.token(OKSANA)
    node = await empty_desk.start_node(token_jwks_url=url, token_jwks_private=True)

    status, code = await status_of(node.url, token)

    assert (status, code) == (503, "token.keys_unavailable")
    with pytest.raises(ConnectionEnded, match=r"4404 token\.keys_unavailable"):
        async with connect(node.socket_url, token, reconnect=False):
            pass
    assert (await status_of(node.url, empty_desk.tokens.issue(OKSANA)))[0] == 200


async def test_tokens_of_unknown_keys_are_counted_for_their_address(empty_desk: Desk) -> None:
    """While the login is away nobody can tell a forged one, and each may cost a question."""
    async with FakeLogin("ES256") as login:
        url, token = login.keys_url, login.token(OKSANA)
    node = await empty_desk.start_node(
        token_jwks_url=url, token_jwks_private=True, anonymous_per_s=0.01, anonymous_burst=3
    )

    statuses = [(await status_of(node.url, token))[0] for _ in range(6)]

    assert statuses == [503, 503, 503, 429, 429, 429]
    assert (await status_of(node.url, empty_desk.tokens.issue(OKSANA)))[0] == 200
