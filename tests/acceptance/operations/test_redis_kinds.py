"""Two nodes over every kind of Redis: with a user of few rights, behind TLS, and a cluster."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from gateway.protocol import MessageCreated, PresenceChanged, PresenceSet, PresenceWatch
from tests.docs.pages import OPERATIONS
from tests.support.cluster import Cluster
from tests.support.desk import DIRECTOR, OKSANA, PETRO, Desk, eventually
from tests.support.tls import Authority, tls_door

PASSWORD = "a-password"
STATISTICS = "/v1/telephony/stats/overview?since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ACL = re.findall(r"^ACL SETUSER .*$", OPERATIONS, re.MULTILINE)
"""The lines that operators are told to use: of one server, and of a cluster's."""

ALWAYS = {"evalsha", "script|load", "client|setinfo", "zrem"}
PUBSUB = {"publish", "subscribe", "unsubscribe"}
SHARDED = {"spublish", "ssubscribe", "sunsubscribe", "cluster|slots", "command"}


def rules(line: str) -> list[str]:
    """Return an ACL line of the page as a command, with the tests' password."""
    return shlex.split(line.replace("PASSWORD", PASSWORD))


def commands_of_scripts() -> set[str]:
    """Return what the Lua scripts of presence and limits call."""
    texts = [
        file.read_text(encoding="utf-8")
        for package in ("presence", "gateway.limits")
        for file in (resources.files(package) / "scripts").iterdir()
        if file.name.endswith(".lua")
    ]
    called = {name for text in texts for name in re.findall(r"redis\.p?call\('(\w+)'", text)}
    return {name.lower() for name in called}


async def nodes_know_each_other(desk: Desk, **settings: Any) -> None:
    """Have messages, presence and limits go through Redis, between two nodes."""
    for _ in range(2):
        await desk.start_node(**settings)
    one, other = (running.node for running in desk.nodes)
    await eventually(lambda: one.delivery.bus.healthy and other.delivery.bus.healthy)
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    received = other.delivery.bus.received  # type: ignore[attr-defined]

    room = (await oksana.open(PETRO)).conversation.id
    await oksana.send(room, "hi")
    assert (await petro.next(MessageCreated)).message.text == "hi"
    assert other.delivery.bus.received > received  # type: ignore[attr-defined]

    await petro.request(PresenceWatch(employee_ids=[OKSANA]))
    await oksana.request(PresenceSet(status="busy", text=None))
    while "busy" not in [one.status for one in (await petro.next(PresenceChanged)).presences]:
        pass  # that presence is frozen for a moment has nobody in it

    for _ in range(2):  # counted, kept, and found
        asked = await desk.http(DIRECTOR).get(STATISTICS)
        assert asked.status_code == 200, asked.text
    assert one.services.stats_cache is not None
    await one.services.stats_cache.invalidate_days([LONG_AGO])

    assert one.cluster_limits is not None
    await one.cluster_limits.sync()
    assert one.cluster_limits.failures == 0
    assert not one.services.presence.degraded
    assert (await desk.http().get("/readyz")).status_code == 200


def test_the_rights_that_are_documented_are_those_that_are_needed() -> None:
    """What the scripts call, what the gateway calls, and not one command more."""
    single, clustered = ({word[1:] for word in rules(line) if word[0] == "+"} for line in ACL)

    assert single == commands_of_scripts() | ALWAYS | PUBSUB
    assert clustered == commands_of_scripts() | ALWAYS | SHARDED


async def test_a_user_with_few_rights_is_enough(empty_desk: Desk) -> None:
    """Nothing that the gateway does is denied, and nothing else is allowed."""
    asked = urlsplit(empty_desk.redis_url)
    with redis.Redis.from_url(empty_desk.redis_url) as admin:
        admin.execute_command(*rules(ACL[0]))
        admin.execute_command("ACL", "LOG", "RESET")
        try:
            own = asked._replace(netloc=f"gateway:{PASSWORD}@{asked.netloc}").geturl()
            await nodes_know_each_other(empty_desk, redis_url=own)
            await empty_desk.close()

            assert admin.execute_command("ACL", "LOG") == []
            with (
                redis.Redis.from_url(own) as gateway,
                pytest.raises(redis.exceptions.NoPermissionError),
            ):
                gateway.get("somebody:else")
        finally:
            admin.execute_command("ACL", "DELUSER", "gateway")


async def test_redis_behind_tls_with_certificates_on_both_sides(
    empty_desk: Desk, tmp_path: Path
) -> None:
    """The gateway checks whom it speaks to, and shows its own certificate."""
    asked = urlsplit(empty_desk.redis_url)
    if asked.scheme != "unix":
        pytest.skip("the TLS door of the tests leads to a socket")
    authority = Authority(tmp_path)
    own = authority.papers()
    async with tls_door(Path(asked.path), authority) as port:
        url = f"rediss://127.0.0.1:{port}"
        await nodes_know_each_other(
            empty_desk,
            redis_url=url,
            redis_ca_file=authority.cert,
            redis_cert_file=own.cert,
            redis_key_file=own.key,
        )
        distrusting = await empty_desk.start_node(redis_url=url)
        assert not distrusting.node.delivery.bus.healthy
        assert (await empty_desk.http(node=2).get("/readyz")).json()["checks"]["bus"] == "deaf"
        await empty_desk.close()


async def test_a_cluster_with_a_user_of_few_rights(
    empty_desk: Desk, cluster: Cluster, cluster_url: str
) -> None:
    """Bus, presence and limits, each on the shard that its keys and channels are of."""
    for node in cluster.nodes:
        node.ask(*rules(ACL[1]))
        node.ask("ACL", "LOG", "RESET")
    own = cluster_url.replace("redis://", f"redis://gateway:{PASSWORD}@")

    await nodes_know_each_other(empty_desk, redis_url=own, redis_cluster=True)
    await empty_desk.close()

    denied = [entry for node in cluster.nodes for entry in node.ask("ACL", "LOG")]
    for node in cluster.nodes:
        node.ask("ACL", "DELUSER", "gateway")
    assert denied == []
