"""CPU time and memory of another process, as the operating system counts them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
WORKER = b"gateway.cli.worker"


@dataclass(frozen=True, slots=True)
class MeasuredProcess:
    """A process that is measured from outside."""

    pid: int

    def cpu_s(self) -> float:
        """Return its CPU time, all threads, user and system.

        The sum that /proc/PID/stat shows in steps of 10 ms, to the nanosecond: the clock that
        clock_getcpuclockid(3) names, see the kernel's CPUCLOCK_SCHED.
        """
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss_kib(self) -> int:
        """Return its resident memory."""
        for line in (PROC / str(self.pid) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError(f"process {self.pid} has no memory: it has ended")

    def open_files(self) -> int:
        """Return how many files and sockets it has open."""
        return sum(1 for _ in (PROC / str(self.pid) / "fd").iterdir())


class CpuMeter:
    """CPU time of a process, and of this one, from now until stop()."""

    def __init__(self, process: MeasuredProcess) -> None:
        self._process = process
        self._process_s, self._own_s = -process.cpu_s(), -time.process_time()

    def stop(self) -> None:
        self._process_s += self._process.cpu_s()
        self._own_s += time.process_time()

    def figures(self, count: int, of: str) -> dict[str, int]:
        """Return microseconds per unit of `count`, under names that end with the unit `of`."""
        return {
            f"cpu_us_per_{of}": round(self._process_s * 1e6 / count),
            f"fleet_cpu_us_per_{of}": round(self._own_s * 1e6 / count),
        }


def require_proc() -> None:
    """Raise RuntimeError where processes cannot be read."""
    if not (PROC / "self/status").exists():
        raise RuntimeError("This scenario reads CPU time and memory from /proc: it needs Linux.")


def workers_below(pid: int) -> list[MeasuredProcess]:
    """Return the gateway's workers among the descendants of a process, by their numbers."""
    found = [
        (_node_name(child), child)
        for child in _descendants(pid, _parents())
        if WORKER in _read(child, "cmdline")
    ]
    return [MeasuredProcess(worker) for _, worker in sorted(found)]


def cpu_of(processes: Iterable[MeasuredProcess]) -> dict[int, float]:
    """Return process → its CPU time, of those that have not ended."""
    found = {}
    for process in processes:
        with suppress(OSError):
            found[process.pid] = process.cpu_s()
    return found


def _parents() -> dict[int, int]:
    """Return process → parent."""
    parents: dict[int, int] = {}
    for directory in PROC.iterdir():
        if directory.name.isdecimal():
            # The name in parentheses may hold anything, so the fields are counted from its end.
            fields = _read(int(directory.name), "stat").rpartition(b")")[2].split()
            if len(fields) > 1:
                parents[int(directory.name)] = int(fields[1])
    return parents


def _descendants(pid: int, parents: dict[int, int]) -> Iterator[int]:
    for child in [child for child, parent in parents.items() if parent == pid]:
        yield child
        yield from _descendants(child, parents)


def _node_name(pid: int) -> bytes:
    for setting in _read(pid, "environ").split(b"\0"):
        if setting.startswith(b"GATEWAY_NODE="):
            return setting
    return b""


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""  # it has ended since
