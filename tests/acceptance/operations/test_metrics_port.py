"""Where a worker shows its metrics, in which form, and that nobody waits for a scrape."""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.cli.listen import listen, port_of
from gateway.cli.supervisor import SupervisedWorker
from gateway.cli.worker import own_ports
from gateway.ops import metrics
from gateway.ops.histogram import Histogram
from gateway.ops.metric_catalogue import METRICS, Metric
from tests.support.desk import OKSANA, Desk
from tests.support.dev import DevGateway
from tests.support.given_settings import GivenSettings

SPELLINGS = [
    "/metrics", "/%6detrics", "/%6D%65trics", "/metrics?x=1", "/metrics/", "//metrics",
    "/./metrics", "/x/../metrics", "/METRICS", "http://x/metrics", "/metrics#x", "/metrics;x",
]  # fmt: skip


async def said(port: int, target: str, method: str = "GET") -> bytes:
    """Return what a port answers to a request for exactly this target."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_shared_port_has_no_metrics_however_they_are_asked_for(small_desk: Desk) -> None:
    """The port of the connection decides, not the path: no proxy has to hide anything."""
    node = small_desk.nodes[0]
    protocol: Any = node.server.config.http_protocol_class
    with listen("127.0.0.1", 0) as shared:
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol(
                config=node.server.config,
                server_state=node.server.server_state,
                app_state=node.server.lifespan.state,
            ),
            sock=shared.dup(),
        )
        try:
            for target in SPELLINGS:
                answer = await said(port_of(shared), target)
                assert b"gateway_connections" not in answer, target
            assert b"404" in (await said(port_of(shared), "/metrics")).split(b"\r\n")[0]
            assert b"200" in (await said(port_of(shared), "/readyz")).split(b"\r\n")[0]
        finally:
            server.close()

    assert b"gateway_connections" in await said(node.port, "/metrics")


def test_a_worker_knows_its_own_port_among_shared_ones() -> None:
    """So that workers of two versions run under one supervisor, during an update or after it."""
    with listen("127.0.0.1", 0) as shared, listen("127.0.0.1", 0) as own:
        settings = GivenSettings(worker_ports=port_of(own), workers=1)

        assert own_ports(settings, [shared, own], []) == {port_of(own)}
        assert own_ports(GivenSettings(), [shared], [own]) == {port_of(own)}
        assert own_ports(GivenSettings(), [shared, own], []) == set()


@pytest.mark.parametrize(
    ("environment", "prefix"), [({"GATEWAY_WORKER_PORTS": "9101"}, ""), ({}, "own=")]
)
def test_a_supervisor_says_what_earlier_workers_understand(
    environment: dict[str, str], prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Descriptors alone, where the settings tell a worker which port is its own."""
    monkeypatch.delenv("GATEWAY_WORKER_PORTS", raising=False)
    script = tmp_path / "worker.py"
    script.write_text("import sys; print(*sys.argv[1:], file=open(sys.argv[0] + '.said', 'w'))")
    with listen("127.0.0.1", 0) as shared, listen("127.0.0.1", 0) as own:
        worker = SupervisedWorker(
            1, [shared], [own], environment, command=(sys.executable, str(script))
        )
        worker.start()
        assert worker.process is not None
        worker.process.wait(30)
        _parent, *fds, _pulse = (tmp_path / "worker.py.said").read_text().split()
        worker.close()

        assert fds == [str(shared.fileno()), f"{prefix}{own.fileno()}"]


@pytest.mark.slow
async def test_gateway_dev_shows_each_workers_metrics_on_its_own_port(
    dev_gateway: DevGateway,
) -> None:
    """As processes: the shared port has none, each worker's port has that worker's."""
    shared = int(dev_gateway.url.rpartition(":")[2])

    assert b" 404 " in (await said(shared, "/metrics")).split(b"\r\n")[0]
    for url in dev_gateway.worker_urls:
        assert b"gateway_connections" in await said(int(url.rpartition(":")[2]), "/metrics")


async def test_what_is_rendered_is_what_prometheus_reads(small_desk: Desk) -> None:
    """Every metric, label and bucket of the table, as prometheus_client's own parser finds it."""
    node = small_desk.nodes[0]
    await small_desk.client(OKSANA)
    node.node.metrics.rejected['odd "\\\n'] = 3
    node.node.metrics.count_command("message.send", 0.003)

    text = (await metrics.render(node.app.state.gateway)).decode()
    families = {one.name: one for one in text_string_to_metric_families(text)}

    assert {name for name in families if name.startswith("gateway_")} == {
        metric.name.removesuffix("_total") for metric in METRICS
    }
    assert "process_cpu_seconds" in families
    rejected = families["gateway_connections_rejected"].samples
    assert {tuple(one.labels.items()): one.value for one in rejected} == {
        (("reason", 'odd "\\\n'),): 3.0
    }
    sent = [
        (one.name.removeprefix("gateway_command_seconds"), one.labels.get("le"), one.value)
        for one in families["gateway_command_seconds"].samples
        if one.labels["command"] == "message.send"
    ]
    assert ("_count", None, 1.0) in sent
    assert ("_sum", None, 0.003) in sent
    assert ("_bucket", "0.0025", 0.0) in sent
    assert ("_bucket", "0.005", 1.0) in sent
    assert ("_bucket", "+Inf", 1.0) in sent


@pytest.mark.parametrize("value", [0, 7, 0.25, 1e300, math.inf, -1])
def test_numbers_stay_what_they_are(value: float) -> None:
    """As text, and read again."""
    metric = Metric("gateway_x", "gauge", "a \\ and\na line", lambda _: value)
    (head, sample) = metrics.family(metric, value)

    (family,) = text_string_to_metric_families("\n".join([*head, *sample, ""]))

    assert family.documentation == "a \\ and\na line"
    assert [one.value for one in family.samples] == [value]


async def test_others_have_their_turns_during_a_scrape(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many commands have a histogram, a slice has so many lines."""
    node = small_desk.nodes[0]
    for number in range(1_000):
        node.node.metrics.latency[f"command.{number}"] = Histogram()
    rendered = 0
    most = 0
    lines_of = metrics._histogram_lines

    def counted(*arguments: Any) -> list[str]:
        nonlocal rendered
        rendered += len(found := lines_of(*arguments))
        return found

    async def watch() -> None:
        nonlocal most, rendered
        while True:
            most, rendered = max(most, rendered), 0
            await asyncio.sleep(0)

    monkeypatch.setattr(metrics, "_histogram_lines", counted)
    watching = asyncio.create_task(watch())
    text = await metrics.render(node.app.state.gateway)
    watching.cancel()

    assert text.count(b"\n") > 16_000
    assert 100 < most < 2 * metrics.SLICE
