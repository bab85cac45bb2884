"""The largest number of mixed users at which p99 stays below a bound: doubling, then bisection.

own_gateway ─▶ locust_roles.play for each number of users ─▶ Trial ─▶ a table for docs/scaling.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.process_cost import cpu_of, require_proc
from loadtests.report import Figure, Result, machine
from loadtests.roles.figures import VOID_ABOVE, Figures
from loadtests.scenarios import locust_roles

SECONDS = 30.0
"""Of one trial, after its warm-up."""
WARM_UP_S = locust_roles.ARRIVAL_S + 2.0
"""What users wait for while all arrive is the hello's figure."""
MINUTES = 20.0
BOUND_MS = 200.0
FIRST, MOST = 46, 5_000
"""Users; the first for each Locust process: twice the sum of weights, so all roles are there."""
CLOSE_ENOUGH = 0.1
"""The search ends when the smallest number that failed is at most this much above the largest."""
CHANCES = 2
BOUNDED = ("deliver", "call.offered")
"""What people wait for; both p99 must be below the bound."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a number of users led to."""

    users: int
    p99_ms: dict[str, float]
    failed: int
    generator_percent: float
    worker_percent: float = 0.0
    """CPU of all the gateway's workers, of one core."""
    per_s: dict[str, float] = field(default_factory=dict)

    @property
    def void(self) -> bool:
        """Whether it says more about Locust than about the gateway."""
        return self.generator_percent > VOID_ABOVE

    def holds(self, bound_ms: float) -> bool:
        """Whether so many users were served in time, without a failure."""
        # A missing percentile is NaN, which is below nothing.
        in_time = all(self.p99_ms.get(name, math.nan) < bound_ms for name in BOUNDED)
        return in_time and not self.failed and not self.void


Attempt = Callable[[int], Trial]


def search(
    attempt: Attempt, *, bound_ms: float, first: int, most: int, has_time: Callable[[], bool]
) -> list[Trial]:
    """Return all trials, in the order in which they were made.

    Double from `first` until a number fails, then halve the distance, until it is small or there is
    no time. A number fails when two trials of it do: other work on the machine may disturb one.
    """
    trials: list[Trial] = []
    good, bad = 0, most + 1
    users = min(first, most)
    while has_time():
        trials.append(attempt(users))
        if trials[-1].holds(bound_ms):
            good = users
        elif [trial.users for trial in trials].count(users) < CHANCES:
            continue
        else:
            bad = users
        close = bad <= most and bad - good <= max(1, math.floor(good * CLOSE_ENOUGH))
        if not good or good >= most or close:
            break
        users = min(good * 2, most) if bad > most else (good + bad) // 2
    return trials


def run(options: Options) -> Result:
    """Start a gateway, try numbers of users, stop it."""
    require_proc()
    with own_gateway(settings=locust_roles.SETTINGS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Find the number; `--seconds` is of one trial, `--users` the most that are tried."""
    seconds, bound_ms = options.seconds or SECONDS, options.bound_ms or BOUND_MS
    ends = time.monotonic() + 60 * (options.minutes or MINUTES)

    def attempt(users: int) -> Trial:
        return _attempt(gateway, users, seconds, options)

    trials = search(
        attempt,
        bound_ms=bound_ms,
        first=FIRST * (options.processes or 1),
        most=options.users or MOST,
        has_time=lambda: time.monotonic() + seconds + WARM_UP_S < ends,
    )
    setting = (
        f"mixed users on {len(gateway.workers)} workers, {seconds:g} s each, p99 of "
        f"{' and '.join(BOUNDED)} below {bound_ms:g} ms"
    )
    return result_of(trials, bound_ms, setting)


def _attempt(gateway: OwnGateway, users: int, seconds: float, options: Options) -> Trial:
    players = locust_roles.hired(gateway, users)
    before = cpu_of(gateway.workers)
    found, _ = locust_roles.play(
        gateway,
        players,
        users,
        seconds + WARM_UP_S,
        processes=options.processes or 1,
        quiet=True,
        environment={"LOADTEST_WARM_UP_S": str(WARM_UP_S)},
    )
    after = cpu_of(gateway.workers)
    spent_s = sum(cpu_s - before.get(pid, cpu_s) for pid, cpu_s in after.items())
    return trial_of(found, users, seconds + WARM_UP_S, spent_s)


def trial_of(found: Figures, users: int, seconds: float, spent_s: float) -> Trial:
    times = {name: Latencies(found.latencies_ms.get(name, [])) for name in (*BOUNDED, "hello")}
    return Trial(
        users,
        {name: round(one.percentile(0.99), 1) for name, one in times.items()},
        found.errors.total(),
        round(found.cpu_percent, 1),
        round(100 * spent_s / seconds, 1),
        {
            "messages": round(found.counts["message.send"] / seconds, 1),
            "calls": round(found.counts["call.offered"] / seconds, 1),
            "replies": round(found.counts.total() / seconds, 1),
        },
    )


def result_of(trials: Sequence[Trial], bound_ms: float, setting: str) -> Result:
    good = {trial.users for trial in trials if trial.holds(bound_ms)}
    bad = [trial for trial in trials if trial.users not in good]
    least = min(bad, key=lambda trial: trial.users, default=None)
    figures: dict[str, Figure | dict[str, Figure]] = {
        "largest_users": max(good, default=0),
        "bound_ms": bound_ms,
        "least_users_that_failed": least.users if least else 0,
        "void_trials": sum(trial.void for trial in trials),
    }
    for trial in decisive(trials, bound_ms):
        figures[f"users_{trial.users}"] = {
            **{f"{name}_p99_ms": value for name, value in trial.p99_ms.items()},
            **{f"{name}_per_s": value for name, value in trial.per_s.items()},
            "workers_cpu_percent": trial.worker_percent,
            "generator_cpu_percent": trial.generator_percent,
            "failed": trial.failed,
        }
    failures = []
    if not good:
        fewest = f"not even {least.users}" if least else "no number of"
        failures.append(f"{fewest} users stayed below the bound")
    if least is not None and least.void:
        failures.append(
            f"void at {least.users} users: Locust used {least.generator_percent:.0f} % of a core; "
            "more --processes may find a larger number"
        )
    return Result("capacity", setting, figures, failures, markdown(trials, bound_ms))


def decisive(trials: Sequence[Trial], bound_ms: float) -> list[Trial]:
    """Return one trial of each number of users, by that number: one that holds, else the last."""
    chosen: dict[int, Trial] = {}
    for trial in trials:
        if trial.users not in chosen or not chosen[trial.users].holds(bound_ms):
            chosen[trial.users] = trial
    return [chosen[users] for users in sorted(chosen)]


def markdown(trials: Sequence[Trial], bound_ms: float) -> str:
    """Return the table of docs/scaling.md."""
    lines = [
        f"By `python -m loadtests capacity`, bound {bound_ms:g} ms, on {machine()}:",
        "",
        "| mixed users | p99: message, call, hello | messages, calls, replies a second "
        "| CPU of all workers | of the generator | |",
        "|---|---|---|---|---|---|",
    ]
    for trial in decisive(trials, bound_ms):
        verdict = "void" if trial.void else "holds" if trial.holds(bound_ms) else "does not hold"
        if trial.failed:
            verdict += f", {trial.failed} failures"
        times = ", ".join(
            "-" if math.isnan(value) else f"{value:.0f}" for value in trial.p99_ms.values()
        )
        rates = ", ".join(f"{value:g}" for value in trial.per_s.values())
        lines.append(
            f"| {trial.users:,} | {times} ms | {rates} | {trial.worker_percent:.0f} % "
            f"| {trial.generator_percent:.0f} % | {verdict} |"
        )
    return "\n".join(lines) + "\n"
