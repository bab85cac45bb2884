"""Signed posts: the published vector, and everything that must not pass."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.connectors.signature import TOLERANCE_S, InvalidSignature, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "QUFB" * 8
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def checked(**changes: Any) -> str:
    """Verify the vector with some of it changed."""
    given: dict[str, Any] = {
        "body": BODY,
        "message_id": ID,
        "timestamp": str(AT),
        "signature": SIGNATURE,
        "secrets": [SECRET],
        "now": AT,
    }
    given |= changes
    return verify(given.pop("body"), **given)


def test_the_published_vector_is_signed_and_verified() -> None:
    """Standard Webhooks' own example."""
    assert sign(BODY, message_id=ID, timestamp=AT, secret=SECRET) == SIGNATURE
    assert checked() == ID


@pytest.mark.parametrize("away", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_five_minutes_either_way_are_fresh(away: int) -> None:
    assert checked(now=AT + away) == ID


@pytest.mark.parametrize("away", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_a_copy_is_worthless_after_five_minutes(away: int) -> None:
    with pytest.raises(InvalidSignature):
        checked(now=AT + away)


def test_every_byte_counts() -> None:
    """One flipped bit anywhere in body, id, time or signature, and nothing passes."""
    for at in range(len(BODY)):
        flipped = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        with pytest.raises(InvalidSignature):
            checked(body=flipped)
    for at in range(3, len(SIGNATURE)):
        other = "B" if SIGNATURE[at] == "A" else "A"
        with pytest.raises(InvalidSignature):
            checked(signature=SIGNATURE[:at] + other + SIGNATURE[at + 1 :])
    for changes in ({"message_id": ID + "x"}, {"timestamp": str(AT + 1)}):
        with pytest.raises(InvalidSignature):
            checked(**changes)


@pytest.mark.parametrize("missing", ["message_id", "timestamp", "signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_all_three_headers_are_needed(missing: str, value: str | None) -> None:
    with pytest.raises(InvalidSignature):
        checked(**{missing: value})


def test_secrets_can_be_changed_without_a_gap() -> None:
    """Either of two secrets verifies, and either of two signatures is enough."""
    new = sign(BODY, message_id=ID, timestamp=AT, secret=OTHER)

    assert checked(secrets=[OTHER, SECRET]) == ID
    assert checked(signature=f"{new} {SIGNATURE}") == ID
    with pytest.raises(InvalidSignature):
        checked(secrets=[OTHER])
    with pytest.raises(InvalidSignature):
        checked(secrets=[])


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "v1a," + SIGNATURE[3:]},
        {"signature": SIGNATURE[3:]},
        {"signature": "v1,"},
        {"signature": " ".join(["v1,AAAA"] * 11 + [SIGNATURE])},
        {"timestamp": "1614265330.0"},
        {"timestamp": "+1614265330"},
        {"timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"timestamp": "9" * 400},
        {"message_id": "a.b"},
        {"message_id": "x" * 257},
    ],
)
def test_what_is_not_of_the_format_is_refused(changes: dict[str, str]) -> None:
    """Other versions, other digits, ids that could shift the border to the timestamp."""
    with pytest.raises(InvalidSignature):
        checked(**changes)


def test_a_dot_in_the_id_is_refused_even_when_it_is_signed() -> None:
    """`a` at time 1 with body `x` and `a.1`… would otherwise sign the same text."""
    signature = sign(BODY, message_id="a.b", timestamp=AT, secret=SECRET)

    with pytest.raises(InvalidSignature):
        checked(message_id="a.b", signature=signature)


@pytest.mark.parametrize("secret", ["whsec_AAAA", "whsec_!!!!", "hunter2", "whsec_0123456789"])
def test_a_weak_secret_is_a_mistake_that_is_not_quoted(secret: str) -> None:
    """An empty or short key would make every signature guessable."""
    with pytest.raises(ValueError, match="whsec_") as error:
        sign(BODY, message_id=ID, timestamp=AT, secret=secret)
    assert secret.removeprefix("whsec_") not in str(error.value)
