"""Where the CPU of the tests goes: `make test-profile`, which loads this as a pytest plugin.

CPU is that of the test process and all that descends from it: its PostgreSQL and Valkey, gateways,
browsers. Each phase of a test and each fixture's setup counts what all of them took meanwhile; a
process that has ended counts for the one that waited for it. Walking through /proc costs about
1 ms a phase, which is why it is not done always. Linux only.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Generator, Iterable
from typing import Any

import pytest

PROC = "/proc"
TICK_MS = 1_000 // os.sysconf("SC_CLK_TCK")
KINDS = {
    "postgres": "PostgreSQL",
    "valkey-server": "Valkey",
    "redis-server": "Valkey",
    "chromium": "browser",
    "chrome": "browser",
    "node": "browser",
    "python": "Python processes",
    "gateway": "Python processes",
}
"""How a program's name begins → what the table calls it."""
OWN = "test process"
ENDED = "processes that have ended"
OTHER = "others"
MODULES, TESTS, FIXTURES = 25, 25, 20
"""Lines of each table."""

Cpu = Counter[str]
"""Kind of process → CPU in ms: a Counter counts in whole numbers."""


def cpu_now() -> Cpu:
    """Return the CPU that this process and its descendants have taken so far, by kind."""
    spent: Cpu = Counter()
    spent[OWN] = round(time.process_time() * 1_000)
    ended = os.times()
    spent[ENDED] = round((ended.children_user + ended.children_system) * 1_000)
    for name, ms in _descendants(os.getpid()):
        kind = next((kind for start, kind in KINDS.items() if name.startswith(start)), OTHER)
        spent[kind] += ms
    return spent


_strangers: set[int] = set()
"""Processes that do not descend from this one: on a busy machine most are, and stay so."""


def _descendants(pid: int) -> Iterable[tuple[str, int]]:
    """Give each living descendant's name, and its CPU in ms with that of those it waited for."""
    children: dict[int, list[int]] = {}
    known: dict[int, tuple[str, int]] = {}
    with os.scandir(PROC) as entries:
        pids = {int(entry.name) for entry in entries if entry.name.isdigit()}
    _strangers.intersection_update(pids)  # the number of one that has ended may be given again
    for each in pids - _strangers:
        try:
            with open(f"/proc/{each}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - Path takes as long as the kernel
                stat = file.read()
        except OSError:  # it has ended meanwhile
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        fields = rest.split()
        known[each] = name, sum(map(int, fields[11:15])) * TICK_MS
        children.setdefault(int(fields[1]), []).append(each)
    waiting = children.get(pid, [])
    ours = {pid}
    while waiting:
        one = waiting.pop()
        ours.add(one)
        yield known[one]
        waiting += children.get(one, [])
    _strangers.update(known.keys() - ours)


class CpuProfile:
    """Measures in each test process, adds up in the one that reports."""

    def __init__(self) -> None:
        self.fixtures: Counter[str] = Counter()
        """Of the phase that runs: fixture → ms of its own setup."""
        self.setups: Counter[str] = Counter()
        self.nested = [0]
        """What the fixtures below the one being set up took, innermost last."""
        self.before: Cpu = Counter()
        self.by_test: dict[str, Counter[str]] = {}
        """Test → phase → ms."""
        self.by_kind: Cpu = Counter()
        self.by_fixture: Counter[str] = Counter()
        self.fixture_setups: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        return (yield from self._phase())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        return (yield from self._phase())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        return (yield from self._phase())

    def _phase(self) -> Generator[None, object, object]:
        self.fixtures.clear()
        self.setups.clear()
        self.before = cpu_now()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        before = cpu_now().total()
        self.nested.append(0)
        try:
            return (yield)
        finally:
            took = cpu_now().total() - before
            self.fixtures[fixturedef.argname] += took - self.nested.pop()
            self.setups[fixturedef.argname] += 1
            self.nested[-1] += took

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # Attributes of a report travel from a worker of xdist to the process that reports.
        now = cpu_now()
        now.subtract(self.before)  # below 0 for a kind of which one has ended
        report.cpu = dict(now)  # type: ignore[attr-defined]
        report.cpu_fixtures = dict(self.fixtures)  # type: ignore[attr-defined]
        report.fixture_setups = dict(self.setups)  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        spent: dict[str, int] = getattr(report, "cpu", {})
        self.by_kind.update(spent)
        self.by_test.setdefault(report.nodeid, Counter())[report.when or ""] += sum(spent.values())
        self.by_fixture.update(getattr(report, "cpu_fixtures", {}))
        self.fixture_setups.update(getattr(report, "fixture_setups", {}))

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        terminalreporter.section("CPU seconds")
        ended = os.times()
        write(f"{sum(ended[:4]):8.1f}  this run with all that it started and waited for")
        write(f"{self.by_kind.total() / 1_000:8.1f}  within tests, of which")
        for kind, ms in self.by_kind.most_common():
            write(f"{ms / 1_000:8.1f}    {kind}")
        phases: Counter[str] = Counter()
        modules: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        for nodeid, spent in self.by_test.items():
            phases.update(spent)
            module = nodeid.partition("::")[0]
            modules[module] += spent.total()
            counts[module] += 1
        for phase, ms in phases.most_common():
            write(f"{ms / 1_000:8.1f}    {phase}")
        write(f"\n{'CPU s':>8}  {'tests':>5}  module")
        for module, ms in modules.most_common(MODULES):
            write(f"{ms / 1_000:8.1f}  {counts[module]:5}  {module}")
        write(f"\n{'CPU s':>8}  {'times':>5}  setup of a fixture, without those it takes")
        for name, ms in self.by_fixture.most_common(FIXTURES):
            write(f"{ms / 1_000:8.1f}  {self.fixture_setups[name]:5}  {name}")
        write(f"\n{'CPU s':>8}  {'setup':>6} {'call':>6} {'end':>6}  test")
        tests = sorted(self.by_test.items(), key=lambda test: -test[1].total())
        for nodeid, spent in tests[:TESTS]:
            write(
                f"{spent.total() / 1_000:8.1f}  {spent['setup'] / 1_000:6.1f} "
                f"{spent['call'] / 1_000:6.1f} {spent['teardown'] / 1_000:6.1f}  {nodeid}"
            )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(CpuProfile(), "cpu-profile-run")
