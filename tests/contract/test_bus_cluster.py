"""The bus while a Redis Cluster changes its shape: slots move, masters are replaced or killed."""

from __future__ import annotations

from contextlib import AsyncExitStack

from gateway.bus import RedisBus, RedisConfig
from gateway.bus.cluster_topology import ClusterTopology
from gateway.bus.slots import Slots
from tests.contract.test_bus import BusListener, cluster_listener, message
from tests.support.cluster import Cluster
from tests.support.desk import eventually

TOPICS = [f"conversation:{number}" for number in range(60)]
"""Enough of them for each shard to have some."""


async def pair(cluster: Cluster, stack: AsyncExitStack) -> tuple[BusListener, BusListener]:
    here = await cluster_listener(cluster, "a", stack)
    there = await cluster_listener(cluster, "b", stack)
    await there.bus.subscribe(TOPICS)
    return here, there


async def all_received(here: BusListener, there: BusListener, number: int) -> None:
    """Publish to all topics, and again for what was lost meanwhile, until each was heard."""

    def missing() -> list[str]:
        received = {item.topic for item in there.received if item.change == number}
        return [topic for topic in TOPICS if topic not in received]

    def again() -> bool:
        here.bus.publish([message(topic, number) for topic in missing()])
        return not missing()

    await eventually(again)


async def test_a_topic_whose_slot_moves_is_followed(cluster: Cluster) -> None:
    """The server takes the channel away; the node finds the new one, and says so."""
    async with AsyncExitStack() as stack:
        here, there = await pair(cluster, stack)
        before = len(there.resyncs)
        key = "{conversation:1}"
        new = next(node for node in cluster.nodes[1:3] if node is not cluster.owner(key))

        cluster.move(key, new)

        await eventually(lambda: len(there.resyncs) > before)
        await all_received(here, there, 1)


async def test_publishing_to_the_wrong_server_is_made_good(cluster: Cluster) -> None:
    """Who publishes by an old map is told MOVED, reads the map, and nothing is lost."""
    async with AsyncExitStack() as stack:
        here, there = await pair(cluster, stack)
        topology = topology_of(here)
        masters = sorted(topology.slots.masters)
        wrong = {at: masters[(place + 1) % 3] for place, at in enumerate(masters)}
        topology.slots = Slots(
            [(first, last, wrong[at]) for first, last, at in topology.slots.ranges]
        )

        here.bus.publish([message(topic, 1) for topic in TOPICS])

        await eventually(lambda: len(there.received) == len(TOPICS))
        assert isinstance(here.bus, RedisBus)
        assert here.bus.dropped == 0


async def test_a_replica_that_takes_over_is_heard(cluster: Cluster) -> None:
    """After a failover the slots of the old master are the new one's."""
    async with AsyncExitStack() as stack:
        here, there = await pair(cluster, stack)
        before = len(there.resyncs)

        cluster.nodes[3].ask("CLUSTER", "FAILOVER", "TAKEOVER")
        cluster.nodes[0].ask("CLIENT", "KILL", "TYPE", "pubsub")

        await eventually(lambda: len(there.resyncs) > before)
        await all_received(here, there, 1)
        await eventually(lambda: here.bus.healthy and there.bus.healthy)
        port = cluster.nodes[3].port
        assert ("127.0.0.1", port) in topology_of(there).slots.masters


async def test_one_shard_that_is_lost_leaves_the_others_heard(cluster: Cluster) -> None:
    """A node that has lost one server says so, and hears from the rest."""
    async with AsyncExitStack() as stack:
        here, there = await pair(cluster, stack)
        before = len(there.resyncs)
        lost = cluster.owner("{conversation:1}")

        lost.ask("CLIENT", "KILL", "TYPE", "pubsub")

        await eventually(lambda: len(there.resyncs) > before)
        await eventually(lambda: there.bus.healthy)
        assert there.bus.reconnects == 1  # type: ignore[attr-defined]
        await all_received(here, there, 1)


async def test_a_cluster_that_is_not_there_holds_nobody_up() -> None:
    """Without it, publishing and subscribing return at once, and the node is not ready."""
    nowhere = RedisConfig("redis://127.0.0.1:1", cluster=True)
    bus = RedisBus(nowhere, node="a", deliver=lambda _: None, resynced=lambda: None)
    async with bus:
        await bus.subscribe(TOPICS)
        bus.publish([message(topic, 1) for topic in TOPICS])

        assert not bus.healthy
        assert bus.dropped == len(TOPICS)


def topology_of(listener: BusListener) -> ClusterTopology:
    assert isinstance(listener.bus, RedisBus)
    assert isinstance(listener.bus.topology, ClusterTopology)
    return listener.bus.topology
