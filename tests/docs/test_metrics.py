"""The table of metrics in docs/operations.md is what a running worker serves."""

from __future__ import annotations

import re

from gateway.ops import reference
from gateway.ops.metric_catalogue import METRICS
from tests.docs.pages import OPERATIONS
from tests.support.desk import OKSANA, Desk


def test_the_table_of_metrics_is_current() -> None:
    """The table is what the generator makes of the metrics as they are declared."""
    assert reference.render(OPERATIONS) == OPERATIONS, "run `python -m gateway.ops.reference`"
    assert all(f"| `{metric.name}" in OPERATIONS for metric in METRICS)


async def test_a_worker_serves_what_the_table_lists(small_desk: Desk) -> None:
    """Names and kinds of /metrics are those of the table; Prometheus' own are about the process."""
    served = (await small_desk.http().get("/metrics")).text

    families = dict(re.findall(r"^# TYPE (\w+) (\w+)$", served, re.MULTILINE))
    process = {name for name in families if name.startswith("process_")}
    assert families.keys() - process == {metric.name for metric in METRICS}
    assert all(families[metric.name] == metric.kind for metric in METRICS)


async def test_every_sample_has_the_labels_that_are_listed(small_desk: Desk) -> None:
    """After a hello and a refusal, labels are those of the table and no others."""
    await small_desk.client(OKSANA)
    served = (await small_desk.http().get("/metrics")).text

    labels = {metric.name: {*metric.labels} for metric in METRICS}
    samples = re.findall(
        r"^(gateway_\w+?)(?:_bucket|_count|_sum)?(?:{(.*)})? ", served, re.MULTILINE
    )
    found = {name: set(re.findall(r'(\w+)="', given)) - {"le"} for name, given in samples}
    assert found["gateway_dropped_total"] == {"lane"}
    assert {name: labels[name] for name in found} == found


def test_names_say_what_they_count() -> None:
    """Counters end in _total and others do not, histograms in a unit; every row has a meaning."""
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.name.endswith("_seconds") or metric.kind != "histogram", metric.name
        assert metric.text, metric.name
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_metrics_named_on_the_page_exist() -> None:
    """Whatever the prose tells an operator to watch is in the table."""
    known = {metric.name for metric in METRICS}
    named = set(re.findall(r"\bgateway_[a-z_]+[a-z]", OPERATIONS))

    assert {re.sub(r"(?<=_seconds)_(bucket|count|sum)$", "", name) for name in named} <= known
