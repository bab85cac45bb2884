"""Locust's users: who sits where, how many at which time, and the names of errors."""

from __future__ import annotations

import argparse
import itertools
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest

from ingest import parse_events
from loadtests import test_users
from loadtests.roles import options
from loadtests.roles.calls import PARTS, CallBoard, posted_call, timed
from loadtests.roles.errors import Coded, CommandRefused, EventLate, SocketLost
from loadtests.roles.figures import Figures, joined
from loadtests.roles.rest import failure
from loadtests.roles.seats import NoSeat, Seats, divide, kind_of, shortage
from loadtests.roles.shapes import LOADS, users_at
from loadtests.test_users import SignedInUser

ROOT = Path(__file__).parents[2]
SECRET = "a secret of the load tests, thirty-two bytes"
WEIGHTS = {"ChatUser": 13, "SoftphoneUser": 4, "PbxUser": 2, "SupervisorUser": 1, "BackendUser": 3}


def people(plain: int, phones: int = 0, supervisors: int = 0) -> list[SignedInUser]:
    """Return employees of the three kinds."""
    made = [SignedInUser(one, "t", "ws://x") for one in range(1, plain + 1)]
    made += [SignedInUser(1_000 + one, "t", "ws://x", str(100 + one)) for one in range(phones)]
    return made + [
        SignedInUser(2_000 + one, "t", "ws://x", supervises=True) for one in range(supervisors)
    ]


# --- seats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("kinds", [(5_000, 160, 20), (7, 3, 1), (1, 0, 0), (0, 5, 5)])
def test_seats_are_divided_without_rest_or_overlap(kinds: tuple[int, int, int], parts: int) -> None:
    """Each employee is in exactly one process; each kind is spread as evenly as pairs allow."""
    everybody = people(*kinds)

    shares = [divide(everybody, parts, index) for index in range(parts)]

    ids = [one.employee_id for share in shares for one in share]
    assert sorted(ids) == sorted(one.employee_id for one in everybody)
    for kind, spread in (("plain", 2), ("phone", 1), ("supervisor", 1)):
        counts = [sum(kind_of(one) == kind for one in share) for share in shares]
        assert max(counts) - min(counts) <= spread


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_pairs_stay_in_one_process(parts: int) -> None:
    """Who writes and who hears are in the same one, which can then time the delivery."""
    for index in range(parts):
        seats = Seats(divide(people(100), parts, index))
        pairs = {seats.take_side()[0].players for _ in range(20)}

        assert len(pairs) == 10
        assert all(other.employee_id == one.employee_id + 1 for one, other in pairs)


def test_a_seat_that_was_left_is_taken_again() -> None:
    """A storm's users come back as the employees that they were."""
    seats = Seats(people(2, 1, 1))
    pair, side = seats.take_side()
    phone, supervisor = seats.take("SoftphoneUser"), seats.take("SupervisorUser")

    seats.release_side(pair, side)
    seats.release(phone)
    seats.release(supervisor)

    assert {seats.take_side()[1] for _ in range(2)} == {0, 1}
    assert seats.take("SoftphoneUser") is phone
    assert seats.take("SupervisorUser") is supervisor
    for take in (seats.take_side, lambda: seats.take("SoftphoneUser")):
        with pytest.raises(NoSeat, match=r"seats\.none"):
            take()


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("users", [1, 23, 100, 1_000])
def test_what_is_not_refused_can_sit(users: int, parts: int) -> None:
    """If no shortage is told, each process has an employee for each of its users."""
    enough = people(2 * users + 2 * parts, users + parts, users + parts)
    assert shortage(enough, users, WEIGHTS, parts) is None

    for index in range(parts):
        seats = Seats(divide(enough, parts, index))
        for name, weight in WEIGHTS.items():
            for _ in range(users * weight // sum(WEIGHTS.values()) // parts):
                if name in {"ChatUser", "BackendUser"}:
                    seats.take_side()
                elif name != "PbxUser":
                    seats.take(name)


@pytest.mark.parametrize(
    ("everybody", "said"),
    [
        (people(10, 50, 10), "needs .* employees and has 70, of 70 in all"),
        (people(500, 3, 10), "of the kind phone and has 3: give more with --extensions"),
        (people(500, 50, 0), "of the kind supervisor and has 0: give more with --supervisors"),
    ],
)
def test_too_few_seats_are_refused_with_what_is_missing(
    everybody: list[SignedInUser], said: str
) -> None:
    """The reason names the kind, both numbers and the option."""
    why = shortage(everybody, 100, WEIGHTS, 1)

    assert why is not None
    assert re.search(said, why)


def test_seats_that_suffice_in_one_process_may_not_in_many() -> None:
    """Twenty processes cannot share three telephones."""
    everybody = people(500, 10, 30)

    assert shortage(everybody, 40, WEIGHTS, 1) is None
    assert "process 11 of 20" in (shortage(everybody, 40, WEIGHTS, 20) or "")


# --- options -------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Takes what Locust's parser takes."""

    def add_argument(self, *names: Any, **more: Any) -> Any:
        more.pop("env_var", None)
        more.pop("is_secret", None)
        return super().add_argument(*names, **more)


def given(*words: str) -> Namespace:
    parser = Parser()
    parser.add_argument("--host", default="http://gateway.test:8080/")
    options.add_options(parser)
    return parser.parse_args(words)


def test_a_secret_and_ids_make_a_cast() -> None:
    """`--token-secret` with `--employees 1-5000`: tokens, telephones and supervisors."""
    found = options.players(
        given("--token-secret", SECRET, "--employees", "1-5000", "--extensions", "101-160",
              "--supervisors", "1-3,9")
    )  # fmt: skip

    assert [one.employee_id for one in found] == list(range(1, 5_001))
    assert {one.url for one in found} == {"ws://gateway.test:8080/v1/ws"}
    assert [one.employee_id for one in found if one.supervises] == [1, 2, 3, 9]
    phones = [(one.employee_id, one.extension) for one in found if one.extension]
    assert phones == [(4_941 + place, str(101 + place)) for place in range(60)]
    claims = jwt.decode(found[41].token, SECRET, algorithms=["HS256"], audience="crm-gateway")
    assert claims["sub"] == "42"


def test_a_cast_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With the optional fields, and without them."""
    file = tmp_path / "cast.json"
    test_users.write(file, people(1, 1, 1))
    rows = orjson.loads(file.read_bytes())
    del rows[0]["extension"], rows[0]["supervises"]
    file.write_bytes(orjson.dumps(rows))

    assert options.players(given("--cast", str(file))) == people(1, 1, 1)
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["a", "5-1", "1-", "-3", "1,1", "1-3,2", "1-99999999999"])
def test_numbers_that_make_no_sense_are_refused(text: str) -> None:
    """Rather than a test with other employees than were meant."""
    with pytest.raises(ValueError, match=r"\d|'a'"):
        options.numbers(text)


@pytest.mark.parametrize(
    "words",
    [["--employees", "1-9", "--supervisors", "10"], ["--employees", "1-9", "--extensions", "1-10"]],
)
def test_telephones_and_supervisors_are_employees(words: list[str]) -> None:
    """More than there are, or others, are refused."""
    with pytest.raises(ValueError, match="--employees"):
        options.players(given("--token-secret", SECRET, *words))


def test_the_demos_telephones_are_those_of_the_demo() -> None:
    """The list in test_users.py is the one of gateway/demo/crm.sql."""
    sql = (ROOT / "gateway" / "demo" / "crm.sql").read_text(encoding="utf-8")
    (rows,) = re.findall(r"INSERT INTO demo_crm\.desk_phones .*?VALUES(.*?);", sql, re.DOTALL)

    found = {int(who): phone for phone, who in re.findall(r"\('(\d+)', (\d+)\)", rows)}

    assert found == test_users.DEMO_EXTENSIONS


# --- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("users", [1, 2, 23, 1_000])
@pytest.mark.parametrize("run_s", [10.0, 3_600.0, None])
def test_a_load_stays_within_its_users(load: str, users: int, run_s: float | None) -> None:
    """At no time are there none, nor more than asked for; at some time there are all."""
    found = [
        users_at(load, tenth * (run_s or 600.0) / 1_000, users, run_s) for tenth in range(1_000)
    ]

    assert min(found) >= 1
    assert max(found) == users


def test_the_loads_have_their_forms() -> None:
    """A ramp only rises, in ten steps; a storm drops twice to a tenth; a day has two peaks."""

    def over(load: str) -> list[int]:
        return [users_at(load, at, 1_000, 1_000.0) for at in range(1_000)]

    def drops(counts: list[int]) -> int:
        return sum(later < earlier for earlier, later in itertools.pairwise(counts))

    assert over("ramp") == sorted(over("ramp"))
    assert len(set(over("ramp"))) == 10
    assert (drops(over("storm")), min(over("storm"))) == (2, 100)
    day = over("day")
    assert day[0] < 100 < day[300]
    assert day[470] < day[300] == day[650] == 1_000
    assert day[999] < day[800] < 1_000
    assert set(over("steady")) == {1_000}


# --- calls ---------------------------------------------------------------------------------------


def test_a_posted_call_is_one_the_gateway_takes() -> None:
    """Every event of the three parts is accepted, and belongs to one call."""
    parts = posted_call("k", "+380501112233", "101", "sales")
    events = [event for part in PARTS for event in timed(parts[part], "k", part)]

    parsed = parse_events(events, source="main")

    assert parsed.rejected == []
    assert len(parsed.events) == len(events) == 15
    assert len({event["event_id"] for event in events}) == 15


def offered(caller: str, status: str = "ringing", type_: str = "call.offered") -> dict[str, Any]:
    return {"type": type_, "call": {"number": caller, "status": status}}


def test_a_part_of_a_call_is_timed_once() -> None:
    """By the first event that tells it; a repetition, and another call's event, tell nothing."""
    board = CallBoard()
    board.connected("101")
    assert board.take() == "101"
    board.sent("+1", "ringing", "101")

    assert board.received(offered("+2")) == []
    assert board.received(offered("+1", "talking")) == []
    assert len(board.received(offered("+1"))) == 1
    assert board.received(offered("+1")) == []
    assert board.wait_for("+1", "ringing", 0)


def test_a_part_that_nobody_hears_of_is_late() -> None:
    """Unless the telephone has left: then nothing is expected of it."""
    board = CallBoard()
    board.connected("101")
    board.sent("+1", "ringing", "101")
    assert not board.wait_for("+1", "ringing", 0)

    board.sent("+1", "answered", "101")
    board.leaving("101")
    assert board.wait_for("+1", "answered", 0)
    assert board.take() is None


def test_a_telephone_has_one_call_at_a_time() -> None:
    """It is idle again when its call is over, if it is still there."""
    board = CallBoard()
    board.connected("101")

    assert (board.take(), board.take()) == ("101", None)
    board.call_over("101")
    board.call_over("101")
    assert (board.take(), board.take()) == ("101", None)
    board.leaving("101")
    board.call_over("101")
    assert board.take() is None


# --- errors and figures --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandRefused("limit.too_fast", "Wait 3 s."), "limit.too_fast"),
        (SocketLost("connection.4401"), "connection.4401"),
        (SocketLost("reply.late"), "reply.late"),
        (EventLate(), "event.late"),
        (NoSeat(), "seats.none"),
        (ConnectionRefusedError(111, "refused, at port 1234"), "connection.lost"),
        (TimeoutError("after 10 s"), "connection.timeout"),
        (OSError("at 12:00"), "connection.lost"),
    ],
)
def test_an_error_is_told_by_its_code(error: Exception, code: str) -> None:
    """Without ports, times and texts, by which Locust would count one error as many."""
    assert str(Coded(error)) == code


def test_a_refused_upgrade_is_told_by_its_status() -> None:
    """The library's text has the whole head of the answer."""
    websocket = pytest.importorskip("websocket")

    refused = websocket.WebSocketBadStatusException("Handshake status %d %s", 503)

    assert str(Coded(refused)) == "http.503"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"{}", None),
        (204, b"", None),
        (0, b"", "connection.lost"),
        (429, b'{"error":{"code":"limit.too_fast","message":"Wait."}}', "limit.too_fast"),
        (502, b"<html>Bad gateway</html>", "http.502"),
        (500, b'{"error":"oh"}', "http.500"),
        (404, b"[]", "http.404"),
    ],
)
def test_an_answer_over_http_fails_by_its_code(status: int, body: bytes, code: str | None) -> None:
    """The gateway's where there is one, else the status: a proxy may have answered."""
    assert failure(status, body) == code


def test_figures_of_processes_are_joined(tmp_path: Path) -> None:
    """Samples and counts are added; the busiest process counts for the generator."""
    for pid, busy in ((1, 40.0), (2, 95.5)):
        one = Figures(cpu_percent=busy)
        one.note("deliver", 1.5 * pid, 100, None)
        one.note("queue.changed", None, 7, None)
        one.note("deliver", 9.0, 0, Coded(EventLate()))
        directory = tmp_path / str(pid)
        directory.mkdir()
        one.write(directory)

    whole = joined(tmp_path.rglob("figures-*.json"))

    assert sorted(whole.latencies_ms["deliver"]) == [1.5, 3.0]
    assert "queue.changed" not in whole.latencies_ms
    assert (whole.counts["deliver"], whole.counts["queue.changed"]) == (2, 2)
    assert (whole.sizes["deliver"], whole.errors["deliver: event.late"]) == (200, 2)
    assert whole.cpu_percent == 95.5
