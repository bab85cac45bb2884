"""Signed links to files while the secret that signs them is replaced."""

from __future__ import annotations

import time

import pytest

from gateway.errors import LinkInvalid
from gateway.files import Grant, Signer

OLD, NEW = "a secret of thirty-two bytes or so", "the next secret of thirty-two bytes"


def test_a_link_outlives_the_replacement_of_the_secret() -> None:
    """While the other secret is accepted; one that is not accepted makes no links."""
    grant = Grant(do="GET", key="a" * 32, until=int(time.time()) + 60, content_type="text/plain")
    before, during, after = Signer(OLD), Signer(NEW, accepted=[OLD]), Signer(NEW)

    assert during.check(before.sign(grant), "GET") == grant
    assert during.check(during.sign(grant), "GET") == grant
    assert after.check(during.sign(grant), "GET") == grant
    for signer, link in ((after, before.sign(grant)), (before, during.sign(grant))):
        with pytest.raises(LinkInvalid):
            signer.check(link, "GET")
