"""Locust's entry: users of all roles, their options, and how many there are at which time.

`python -m loadtests locust` starts a gateway and runs this without a page. To use Locust's own page
on port 8089 with a running `gateway dev`:

    .venv/bin/locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 --users 18

loadtests/README.md describes the roles, the options and the figures.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events
from locust.runners import STATE_INIT, LocalRunner, MasterRunner
from locust.util.timespan import parse_timespan

from loadtests.roles import options
from loadtests.roles.chat import ChatUser
from loadtests.roles.connected import table
from loadtests.roles.figures import CpuShare, Figures
from loadtests.roles.office import BackendUser, SupervisorUser
from loadtests.roles.phones import PbxUser, SoftphoneUser
from loadtests.roles.seats import shortage
from loadtests.roles.shapes import rate_at, users_at

__all__ = ["BackendUser", "ChatUser", "PbxUser", "SoftphoneUser", "SupervisorUser", "UserLoad"]

DIRECTORY = "LOADTEST_FIGURES"
"""Names the directory in which every process leaves its figures."""
WARM_UP_S = "LOADTEST_WARM_UP_S"
"""Times of the first so many seconds are not kept, except those of hellos: all arrive then."""
SEATS = "gateway-seats"
REFUSED = 2
"""Exit code."""

log = logging.getLogger(__name__)
figures = Figures(always={"hello"})
cpu = CpuShare()


class UserLoad(LoadTestShape):  # type: ignore[misc]  # Locust is not checked
    """--users, --spawn-rate and --run-time, in the form that --load names."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Divide the seats before the first users come; refuse when there are too few."""
        assert self.runner is not None
        environment = self.runner.environment
        given = environment.parsed_options
        users, rate = given.num_users or 1, given.spawn_rate or 1.0
        run_s = given.run_time
        if isinstance(run_s, str):  # as the page gives it
            run_s = parse_timespan(run_s) if run_s else None
        if self.runner.state == STATE_INIT:
            if why := _refusal(environment, users, _parts(self.runner)):
                log.error("Not started: %s", why)
                environment.process_exit_code = REFUSED
                return None
            _divide(self.runner)
        passed = self.get_run_time()
        if run_s and passed >= run_s:
            return None
        return users_at(given.load, passed, users, run_s), rate_at(given.load, users, rate)


def _parts(runner: Any) -> int:
    return len(runner.clients.ready) or 1 if isinstance(runner, MasterRunner) else 1


def _refusal(environment: Any, users: int, parts: int) -> str | None:
    """Say why these users cannot be played; None when they can."""
    given = environment.parsed_options
    classes = environment.user_classes
    if PbxUser in classes and not given.ami_port and not options.pbx_secret(given):
        return "PbxUser needs --pbx-secret or --ami-port; without a PBX, name the other classes."
    try:
        players = options.players(given)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"the employees cannot be read: {error}"
    return shortage(players, users, {one.__name__: one.weight for one in classes}, parts)


def _divide(runner: Any) -> None:
    """Tell each process which of how many shares is its own."""
    if isinstance(runner, MasterRunner):
        ready = list(runner.clients.ready)
        for index, client in enumerate(ready):
            runner.send_message(SEATS, {"part": index, "parts": len(ready)}, client.id)
    else:
        table.clear(0, 1)


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_options(parser: Any) -> None:
    options.add_options(parser)


@events.init.add_listener  # type: ignore[untyped-decorator]
def _receive_seats(runner: Any, **_: Any) -> None:
    if isinstance(runner, MasterRunner | LocalRunner):
        return

    def take_seats(msg: Any, **_: Any) -> None:
        table.clear(msg.data["part"], msg.data["parts"])

    runner.register_message(SEATS, take_seats)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _begin(**_: Any) -> None:
    cpu.begin()
    figures.warm_up(float(os.environ.get(WARM_UP_S, "0")))


@events.request.add_listener  # type: ignore[untyped-decorator]
def _note(
    request_type: str,
    name: str,
    response_time: float | None,
    response_length: int,
    exception: Exception | None,
    **_: Any,
) -> None:
    if DIRECTORY in os.environ:
        named = name if request_type == "WS" else f"{request_type} {name}"
        figures.note(named, response_time, response_length or 0, exception)


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def _end(**_: Any) -> None:
    figures.cpu_percent = cpu.percent()


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _leave_figures(environment: Any, **_: Any) -> None:
    if DIRECTORY in os.environ and not isinstance(environment.runner, MasterRunner):
        figures.write(Path(os.environ[DIRECTORY]))
