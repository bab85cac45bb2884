"""Which jobs there are, and when periodic ones are ordered, whatever the settings."""

from __future__ import annotations

import re

import pytest

from gateway import job_kinds
from gateway.chat import ownership, schedule_worker, scheduled
from gateway.context import Services
from gateway.files import Files, Limits
from tests.support.given_settings import GivenSettings

UPKEEP_S = [0.02, 0.5, 5.0, 10.0, 11.0, 60.0, 101.0, 3_600.0, 1e6]


def test_every_kind_that_a_worker_may_run_is_named() -> None:
    """A worker with everything runs them all: none of them is unknown to one without."""
    services = Services(None, list, None, None, files=Files(object(), Limits()))  # type: ignore[arg-type]
    settings = GivenSettings(message_retention_days=1)
    found = [kind.name for kind in job_kinds.kinds(services, settings)]

    assert sorted(found) == sorted(job_kinds.NAMES)
    assert {one.name for one in job_kinds.schedules(settings)} <= {*job_kinds.NAMES}
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in found)


@pytest.mark.parametrize("upkeep_s", UPKEEP_S)
def test_no_setting_makes_periodic_work_too_rare(upkeep_s: float) -> None:
    """Messages have their jobs before they are due; groups are swept often enough to be given."""
    every = {one.name: one.every_s for one in job_kinds.schedules(GivenSettings(upkeep_s=upkeep_s))}
    collect, give = every[schedule_worker.COLLECT], every[ownership.GIVE]
    assert collect is not None
    assert give is not None

    assert 2 * collect <= scheduled.MIN_DELAY.total_seconds() <= schedule_worker.SOON_S
    assert 2 * give <= ownership.GAP_S
