"""The supervisor with processes that die, hang and are replaced, in the place of workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli import supervisor as supervisor_module
from gateway.cli.supervisor import SupervisedWorker, Supervisor

BEATS = """
import faulthandler, os, sys, time
faulthandler.enable(file=open({log!r}, "a"))
pulse = int(sys.argv[-1].removeprefix("pulse="))
def beat():
    os.write(pulse, b"R")
def stand_still():
    time.sleep(60)
"""
WELL = "while True:\n    beat(); time.sleep(0.05)\n"
BLOCKED = "beat()\nstand_still()\n"
DEAD = "sys.exit(3)\n"


@contextmanager
def supervised(
    tmp_path: Path, *does: str, hang_s: float = 0.0
) -> Iterator[tuple[Supervisor, Callable[[Callable[[], bool]], None]]]:
    """Give a supervisor of processes that do this, and a way to have it look until it is so."""
    workers = []
    for number, what in enumerate(does, 1):
        script = tmp_path / f"{number}.py"
        script.write_text(BEATS.format(log=str(tmp_path / f"{number}.log")) + what)
        workers.append(SupervisedWorker(number, [], [], {}, command=(sys.executable, str(script))))
    supervisor = Supervisor(workers, stop_s=5.0, hang_s=hang_s)

    def look_until(so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20.0
        while not so():
            assert time.monotonic() < deadline
            supervisor.check(time.monotonic())
            time.sleep(0.01)

    supervisor.start()
    try:
        yield supervisor, look_until
    finally:
        supervisor.stop()


def pid(worker: SupervisedWorker) -> int | None:
    return worker.process.pid if worker.process else None


def test_a_worker_that_stands_still_says_where_and_is_replaced(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its trace names the function that holds up the event loop."""
    with supervised(tmp_path, BLOCKED, hang_s=0.3) as (supervisor, look_until):
        [worker] = supervisor.workers
        look_until(lambda: worker.ready)
        hanging = pid(worker)

        look_until(lambda: pid(worker) not in {None, hanging})

        assert "worker.hangs" in capfd.readouterr().out
    assert "in stand_still" in (tmp_path / "1.log").read_text()


def test_a_stopped_worker_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP: it cannot even say where it stands; the others are left alone."""
    monkeypatch.setattr(supervisor_module, "ABORT_S", 0.2)
    with supervised(tmp_path, WELL, WELL, hang_s=0.5) as (supervisor, look_until):
        stopped, other = supervisor.workers
        look_until(lambda: stopped.ready and other.ready)
        before, others = pid(stopped), pid(other)
        assert before is not None

        os.kill(before, signal.SIGSTOP)

        look_until(lambda: pid(stopped) not in {None, before} and stopped.ready)
        assert pid(other) == others


def test_a_worker_that_was_asleep_with_the_machine_is_left_alone(tmp_path: Path) -> None:
    """After a pause of the supervisor itself, nobody is said to hang."""
    with supervised(tmp_path, WELL, hang_s=1.0) as (supervisor, look_until):
        [worker] = supervisor.workers
        look_until(lambda: worker.ready)
        before = pid(worker)

        worker.seen_at -= 100.0
        supervisor._checked_at -= 100.0
        supervisor.check(time.monotonic())

        assert worker.kill_at is None
        assert pid(worker) == before


def test_workers_are_replaced_one_after_the_other(tmp_path: Path) -> None:
    """The next one goes when the one before serves again; at no time are both away."""
    with supervised(tmp_path, WELL, WELL) as (supervisor, look_until):
        one, two = supervisor.workers
        look_until(lambda: one.ready and two.ready)
        before = {pid(one), pid(two)}

        supervisor.replace_all()

        def replaced() -> bool:
            assert (one.ready and not one.leaving) or (two.ready and not two.leaving)
            return (
                pid(one) not in {None, *before}
                and pid(two) not in {None, *before}
                and one.ready
                and two.ready
            )

        look_until(replaced)
        assert one.failures == two.failures == 0


def test_a_worker_that_dies_is_started_again_more_and_more_slowly(tmp_path: Path) -> None:
    """At first after 0.2 s, then 0.4 …"""
    with supervised(tmp_path, DEAD) as (supervisor, look_until):
        [worker] = supervisor.workers

        look_until(lambda: worker.failures == 1)
        first_s = worker.start_at - time.monotonic()
        look_until(lambda: worker.failures == 2)

        assert first_s < 0.2
        assert 0.2 < worker.start_at - time.monotonic() <= 0.4
