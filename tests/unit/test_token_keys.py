"""Keys of logins: which of them verify tokens, and what a token can do to choose one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.auth import Tokens
from gateway.auth.keys import (
    MAX_KEYS,
    MAX_KEYS_BYTES,
    KeysUnusable,
    parse_jwks,
    parse_pem,
    read_keys,
)
from gateway.errors import TokenExpired, TokenInvalid
from tests.fakes.login import FakeLogin, new_key, public_jwk
from tests.support.tls import Authority

SECRET = "a secret of thirty-two bytes or so"
KEYS = {name: new_key(name) for name in ("RS256", "ES256", "EdDSA")}


def login_of(algorithm: str) -> FakeLogin:
    login = FakeLogin(algorithm)
    login.rotate(algorithm)
    return login


def accepting(keys: bytes, **changes: Any) -> Tokens:
    return Tokens(SECRET, "crm-gateway", "crm-gateway", public_keys=parse_jwks(keys), **changes)


def pem_of(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_login_with_keys_of_its_own_is_accepted(algorithm: str) -> None:
    """By a key set and by a PEM file; and only by the key that signed."""
    login = login_of(algorithm)
    token = login.token(7)

    assert accepting(login.key_set()).verify(token).employee_id == 7
    pem = Tokens(SECRET, "crm-gateway", "crm-gateway",
                 public_keys=parse_pem(pem_of(login.signing[-1].key)))  # fmt: skip
    assert pem.verify(token).employee_id == 7
    with pytest.raises(TokenInvalid):
        accepting(login_of(algorithm).key_set()).verify(token)
    with pytest.raises(TokenExpired):
        accepting(login.key_set()).verify(login.token(7, exp=1))


def test_a_token_chooses_no_algorithm() -> None:
    """A public key is no secret: an HMAC made with it is refused, whatever form it has."""
    for algorithm, key in KEYS.items():
        jwk = public_jwk(algorithm, key, kid="k")
        tokens = accepting(json.dumps({"keys": [jwk]}).encode())
        pem, public = pem_of(key), jwk.get("n", jwk.get("x", ""))
        raw = base64.urlsafe_b64decode(public + "==")
        for material in (pem, pem.strip(), raw, json.dumps(jwk).encode()):
            forged = hmac_token(material, kid="k")
            with pytest.raises(TokenInvalid):
                tokens.verify(forged)


def hmac_token(material: bytes, **header: Any) -> str:
    """Return an HS256 token that is signed with these bytes, which PyJWT refuses to sign with."""
    head = encoded({"alg": "HS256", **header})
    body = encoded(
        {"sub": "7", "iss": "crm-gateway", "aud": "crm-gateway", "exp": 2**33, "jti": "1"}
    )
    signature = hmac.digest(material, f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", [*KEYS, "HS256"])
def test_no_part_of_a_token_can_be_changed_moved_or_left_out(algorithm: str) -> None:
    """The mutations of Wycheproof's vectors for JSON Web Signatures, for each algorithm."""
    login = login_of(algorithm if algorithm != "HS256" else "ES256")
    tokens = accepting(login.key_set())
    token = tokens.issue(7) if algorithm == "HS256" else login.token(7)
    head, body, signature = token.split(".")
    header = jwt.get_unverified_header(token)
    stranger = login_of("ES256").signing[-1].key
    embedded = encoded({**header, "jwk": public_jwk("ES256", stranger)})
    other = "A" if signature[0] != "A" else "B"
    changed = [
        f"{head}.{body}.{other}{signature[1:]}", f"{head}.{body}.", f"{head}.{body}",
        f"{head}.{encoded({'sub': '8'})}.{signature}", f"{head}..{signature}",
        f"{head}.{signature}",
        f"{encoded({**header, 'kid': 'x' * 9})}.{body}.{signature}", f".{body}.{signature}",
        f"{body}.{signature}", f".{body}.", body, f"{token}.", f"{token}.foo",
        f"{encoded({'alg': 'none'})}.{body}.", f"{encoded({'alg': 'none'})}.{body}.{signature}",
        f"{encoded({'alg': 'None'})}.{body}.", f"{embedded}.{body}.{signature}",
        f"{encoded({**header, 'crit': ['exp'], 'exp': 1})}.{body}.{signature}",
        f"{encoded({**header, 'b64': False, 'crit': ['b64']})}.{body}.{signature}",
        f"{encoded({**header, 'alg': 'PS256'})}.{body}.{signature}",
        f"{encoded({**header, 'alg': ['HS256']})}.{body}.{signature}",
        f"{encoded({**header, 'kid': 7})}.{body}.{signature}",
        f"{encoded({**header, 'kid': '../../../../dev/null'})}.{body}.{signature}",
        json.dumps({"payload": body, "signatures": [{"protected": head, "signature": signature}]}),
        f"{head}=.{body}.{signature}", f" {token}", f"{head}.{body}.{signature[:-8]}",
    ]  # fmt: skip

    assert tokens.verify(token).employee_id == 7
    for forged in changed:
        with pytest.raises(TokenInvalid):
            tokens.verify(forged)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}],
        [public_jwk("RS256", new_key("RS256", bits=1_024))],
        [public_jwk("RS256", KEYS["RS256"], use="enc")],
        [public_jwk("RS256", KEYS["RS256"], alg="RS512")],
        [public_jwk("RS256", KEYS["RS256"], alg="HS256")],
        [public_jwk("RS256", KEYS["RS256"], key_ops=["encrypt"])],
        [public_jwk("RS256", KEYS["RS256"], key_ops="verify")],
        [public_jwk("RS256", KEYS["RS256"], kid=7)],
        [public_jwk("RS256", KEYS["RS256"], kid="k" * 257)],
        [public_jwk("ES256", KEYS["ES256"], x="AA")],
        [public_jwk("ES256", KEYS["ES256"], crv="P-384")],
        [public_jwk("EdDSA", KEYS["EdDSA"], crv="X25519")],
        [public_jwk("RS256", KEYS["RS256"], n=5)],
        [None], ["RSA"], [[]], [{"kty": "RSA"}], [{"kty": None}],
    ],
)  # fmt: skip
def test_a_key_that_is_no_use_verifies_nothing(entries: list[Any], tmp_path: Path) -> None:
    """Weak, malformed and foreign keys are passed over; a file with no other is refused."""
    data = json.dumps({"keys": entries}).encode()
    (tmp_path / "keys.json").write_bytes(data)

    assert parse_jwks(data) == ()
    with pytest.raises(KeysUnusable):
        read_keys(tmp_path / "keys.json")


@pytest.mark.parametrize("count", [MAX_KEYS + 1, 10_000])
def test_a_set_of_too_many_keys_is_refused(count: int) -> None:
    """A provider has two or three."""
    jwk = public_jwk("ES256", KEYS["ES256"])
    with pytest.raises(KeysUnusable):
        parse_jwks(json.dumps({"keys": [jwk] * count}).encode())


def test_the_key_that_a_token_names_is_tried_first() -> None:
    """However many keys without a name stand before it."""
    login = login_of("ES256")
    nameless = tuple(key for _ in range(20) for key in parse_pem(pem_of(new_key("ES256"))))
    tokens = Tokens(SECRET, "crm-gateway", "crm-gateway",
                    public_keys=(*nameless, *parse_jwks(login.key_set())))  # fmt: skip

    assert tokens.verify(login.token(7)).employee_id == 7


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"keys": {}}', b"null", b"\xff", b'{"keys": null}',
             b"[" * 100_000, b'{"keys": []}' + b" " * MAX_KEYS_BYTES],
)  # fmt: skip
def test_what_is_no_key_set_is_refused(data: bytes) -> None:
    """Whatever is sent instead, one error says so."""
    with pytest.raises(KeysUnusable):
        parse_jwks(data)


def test_keys_of_other_kinds_stand_beside_ours() -> None:
    """A provider also publishes keys for encryption, and algorithms of tomorrow."""
    good = public_jwk("ES256", KEYS["ES256"], kid="good")
    others = [public_jwk("RS256", KEYS["RS256"], use="enc"), {"kty": "AKP", "alg": "ML-DSA-44"}]
    private = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(KEYS["RS256"]))

    keys = parse_jwks(json.dumps({"keys": [*others, good, private | {"use": "enc"}]}).encode())

    assert [key.kid for key in keys] == ["good"]


def test_a_file_may_have_keys_certificates_or_a_key_set(tmp_path: Path) -> None:
    """And says what is wrong with what else it has."""
    pem, jwks, bad = tmp_path / "keys.pem", tmp_path / "keys.json", tmp_path / "bad"
    authority = Authority(tmp_path)
    pem.write_bytes(pem_of(KEYS["RS256"]) + authority.cert.read_bytes() + pem_of(KEYS["EdDSA"]))
    jwks.write_bytes(login_of("ES256").key_set())

    assert x509.load_pem_x509_certificate(authority.cert.read_bytes())
    assert [key.algorithm for key in read_keys(pem)] == ["RS256", "ES256", "EdDSA"]
    assert [key.algorithm for key in read_keys(jwks)] == ["ES256"]
    private = KEYS["ES256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    p384 = pem_of(ec.generate_private_key(ec.SECP384R1()))
    for content in (
        b"",
        b"words",
        private,
        p384,
        pem_of(KEYS["ES256"])[:60] + b"\n-----END PUBLIC KEY-----",
    ):
        bad.write_bytes(content)
        with pytest.raises(KeysUnusable):
            read_keys(bad)
    with pytest.raises(KeysUnusable, match="cannot be read"):
        read_keys(tmp_path / "absent")


def test_secrets_are_replaced_without_ending_a_token() -> None:
    """First the new one is accepted everywhere, then it signs, then the old one goes."""
    old, new = SECRET, "another secret of thirty-two bytes"
    before = Tokens(old, "i", "a")
    first = Tokens(old, "i", "a", accepted_secrets=(new,))
    second = Tokens(new, "i", "a", accepted_secrets=(old,))
    after = Tokens(new, "i", "a")

    together = [
        (before, (first, second)),
        (first, (before, first, second)),
        (second, (first, second, after)),
        (after, (first, second)),
    ]
    for signer, verifiers in together:
        for verifier in verifiers:
            assert verifier.verify(signer.issue(7)).employee_id == 7
    with pytest.raises(TokenInvalid):
        after.verify(before.issue(7))


def test_a_token_of_a_plain_login_is_accepted_where_settings_say_so() -> None:
    """One with a numeric subject in a claim of its own, and without iss, aud and jti."""
    login = login_of("RS256")
    plain = login.token(None, sub="oksana@example.com", user_id=7, iss=None, aud=None, jti=None)
    lenient = Tokens(SECRET, "", "", public_keys=parse_jwks(login.key_set()),
                     subject_claim="user_id", requires_id=False)  # fmt: skip

    first, again = lenient.verify(plain), lenient.verify(plain)
    other = lenient.verify(login.token(None, user_id=7, jti=None, nonce="x"))

    assert first.employee_id == 7
    assert first.token_id == again.token_id != other.token_id
    assert first.token_id.startswith("sha256:")
    with pytest.raises(TokenInvalid):
        accepting(login.key_set()).verify(plain)


@pytest.mark.parametrize("jti", ["", "x" * 257, "a\0b", "a\nb", 1.5, ["x"], {"x": 1}, True])
def test_an_id_of_a_token_that_cannot_be_stored_is_refused(jti: Any) -> None:
    """It is compared with what was revoked, in the database and in memory."""
    login = login_of("ES256")

    with pytest.raises(TokenInvalid):
        accepting(login.key_set()).verify(login.token(7, jti=jti))


@pytest.mark.parametrize("subject", [True, 1.5, [7], {"id": 7}, "", "7 ", "\u0667", 2**63, -7, 0])
def test_a_subject_that_is_no_employee_is_refused(subject: Any) -> None:
    """Also one that Python would take for a number."""
    login = login_of("ES256")

    with pytest.raises(TokenInvalid):
        accepting(login.key_set()).verify(login.token(7, sub=subject))
