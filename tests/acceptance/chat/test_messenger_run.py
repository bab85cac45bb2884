"""The messenger's whole run, small: it finds nothing wrong, and it would find what is."""

from __future__ import annotations

import pytest

from gateway.protocol import MessageReacted
from loadtests.messenger import run as running
from loadtests.messenger.check import CHECKS
from loadtests.messenger.plan import MessengerPlan, make
from loadtests.messenger.run import MessengerRun, MessengerSetup, play
from loadtests.messenger.view import ClientView
from loadtests.test_users import SignedInUser
from tests.support.desk import OKSANA, Desk, employee


async def carried_out(desk: Desk, plan: MessengerPlan) -> MessengerRun:
    """Have the first employees of the CRM play on this desk's nodes."""
    people = [employee(number) for number in range(1, plan.people + 1)]
    players = [SignedInUser(one, desk.token(one), "") for one in people]
    urls = [node.socket_url for node in desk.nodes]
    return await play(MessengerSetup(desk.database, urls, players), plan)


async def test_whatever_happens_everybody_sees_what_is_stored(desk: Desk) -> None:
    """Ten devices on two nodes do everything at once, with cuts; then no check fails."""
    plan = make(7, clients=10, seconds=1.0, pause_s=0.08)

    played = await carried_out(desk, plan)

    assert played.report == {name: [] for name in CHECKS}
    assert sum(len(one.acknowledged) for one in played.witnesses) > 10
    assert played.events > 50
    assert played.cuts > 0


async def test_a_device_that_drops_an_event_is_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One employee's devices overlook reactions: their views differ, and nobody else's."""
    take = ClientView.take

    def overlook(view: ClientView, event: object) -> None:
        if view.employee_id != OKSANA or not isinstance(event, MessageReacted):
            take(view, event)

    monkeypatch.setattr(ClientView, "take", overlook)
    monkeypatch.setattr(running, "QUIET_S", 0.6)
    plan = make(3, clients=5, seconds=0.8, pause_s=0.05)

    played = await carried_out(desk, plan)

    assert played.report["views_differ"]
    assert all("messages" in problem for problem in played.report["views_differ"])
    assert {name for name, found in played.report.items() if found} == {"views_differ"}


def test_a_seed_plans_the_same_again() -> None:
    """And another one plans something else."""
    plan = make(1, clients=50, seconds=60)

    assert plan == make(1, clients=50, seconds=60)
    assert plan.actions != make(2, clients=50, seconds=60).actions
    assert len(plan.pools) == 10
    assert len(plan.actions) == 50
