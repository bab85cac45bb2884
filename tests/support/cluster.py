"""A Redis Cluster of the tests' own: three masters, and a replica of the first, on loopback.

They are started with the map of the cluster already written, so nobody has to meet anybody: it
answers after 0.2 s, and takes writes after the 2 s that every master waits when it starts.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from gateway.embedded.binaries import find_valkey
from gateway.embedded.process import Child, start

RANGES = ((0, 5460), (5461, 10922), (10923, 16383))
START_S = 15.0


@dataclass
class ClusterNode:
    """One server of the cluster."""

    id: str
    port: int
    bus_port: int
    child: Child

    def ask(self, *command: str | int) -> Any:
        """Have this server, and no other, do something."""
        with redis.Redis(port=self.port, protocol=2) as client:
            return client.execute_command(*map(str, command))


@dataclass
class Cluster:
    """All of them: three masters, then a replica of the first."""

    nodes: list[ClusterNode]

    @property
    def url(self) -> str:
        """Name one of them, which is never asked to give anything up."""
        return f"redis://127.0.0.1:{self.nodes[1].port}"

    def owner(self, key: str) -> ClusterNode:
        """Return the master that has this key's slot, as it says itself."""
        slot = key_slot(key.encode())
        for first, last, (_, port, *_), *_ in self.nodes[1].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def move(self, key: str, to: ClusterNode) -> None:
        """Hand this key's slot, in which there are no keys, to another master."""
        slot, owner = key_slot(key.encode()), self.owner(key)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.id)
        owner.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        for node in (to, owner, *self.nodes[:3]):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", to.id)

    def wait_writable(self) -> None:
        """Wait until it takes writes."""
        deadline = time.monotonic() + START_S
        while not all(b"cluster_state:ok" in _info(node) for node in self.nodes[:3]):
            assert time.monotonic() < deadline, "the cluster does not become ready"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def cluster(server_dir: Path) -> Iterator[Cluster]:
    """Give a cluster that answers; it may not take writes yet."""
    ports = _free_ports(8)
    ids = [f"{number:040x}" for number in range(1, 5)]
    with ExitStack() as stack:
        nodes = []
        for me, (port, bus_port) in enumerate(_pairs(ports)):
            home = server_dir / f"cluster-{me}"
            home.mkdir()
            (home / "nodes.conf").write_text(_map(me, ids, ports), encoding="ascii")
            child = start("Valkey", _command(home, port, bus_port), log=home / "log")
            stack.callback(child.stop)
            nodes.append(ClusterNode(ids[me], port, bus_port, child))
        _wait(nodes)
        yield Cluster(nodes)


@pytest.fixture
def cluster_url(cluster: Cluster) -> str:
    """Give the URL of a cluster that takes writes, with nothing in it."""
    cluster.wait_writable()
    for node in cluster.nodes[:3]:
        if b"role:master" in _info(node, "replication"):
            node.ask("FLUSHALL")
    return cluster.url


def _pairs(ports: list[int]) -> list[tuple[int, int]]:
    return list(zip(ports[::2], ports[1::2], strict=True))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
        return found


def _command(home: Path, port: int, bus_port: int) -> list[str]:
    return [
        *(str(find_valkey(None)), "--bind", "127.0.0.1", "--port", str(port)),
        *("--cluster-enabled", "yes", "--cluster-port", str(bus_port)),
        *("--cluster-node-timeout", "5000", "--dir", str(home)),
        *("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"),
    ]


def _map(me: int, ids: list[str], ports: list[int]) -> str:
    lines = []
    for number, (port, bus_port) in enumerate(_pairs(ports)):
        shard = number % 3
        flags = "master -" if number < 3 else f"slave {ids[shard]}"
        slots = f" {RANGES[shard][0]}-{RANGES[shard][1]}" if number < 3 else ""
        mine = "myself," if number == me else ""
        lines.append(
            f"{ids[number]} 127.0.0.1:{port}@{bus_port},,tls-port=0,shard-id={100 + shard:040x}"
            f" {mine}{flags} 0 0 {shard + 1} connected{slots}"
        )
    return "\n".join([*lines, "vars currentEpoch 3 lastVoteEpoch 0", ""])


def _wait(nodes: list[ClusterNode]) -> None:
    deadline = time.monotonic() + START_S
    for node in nodes:
        while True:
            try:
                node.ask("PING")
                break
            except redis.RedisError:
                if not node.child.alive:
                    raise node.child.failed("ended while starting") from None
                assert time.monotonic() < deadline
                time.sleep(0.01)


def _info(node: ClusterNode, section: str = "cluster") -> bytes:
    answer: bytes | dict[str, Any] = (
        node.ask("CLUSTER", "INFO") if section == "cluster" else node.ask("INFO", section)
    )
    return answer if isinstance(answer, bytes) else _printed(answer)


def _printed(answer: dict[str, Any]) -> bytes:
    return "\n".join(f"{name}:{value}" for name, value in answer.items()).encode()
