"""A seed says everything that will happen."""

from __future__ import annotations

from itertools import pairwise

from tests.faults.broken import VARIANTS
from tests.faults.injector import FAULT_ACTIONS
from tests.faults.schedule import KINDS, QUIET, Fault, make


def planned(seed: int) -> tuple[Fault, ...]:
    return make(seed, seconds=600, workers=4, calm_s=6.0, kinds=tuple(KINDS), in_namespaces=(2, 3))


def test_a_seed_plans_the_same_again() -> None:
    """And another one plans something else."""
    assert planned(1) == planned(1)
    assert planned(1) != planned(2)
    assert [str(fault) for fault in planned(3)] == [str(fault) for fault in planned(3)]


def test_every_kind_has_its_turn_and_calm_after_it() -> None:
    """In ten minutes each strikes, and what it did can be put right before the next."""
    faults = planned(1)

    assert {fault.kind for fault in faults} == set(KINDS)
    for before, after in pairwise(faults):
        assert after.at_s - (before.at_s + before.lasts_s + before.recovery_s) >= 6.0 - 0.1
    assert all(len(fault.quiet) == QUIET for fault in faults)
    assert all(0 < quiet <= fault.lasts_s for fault in faults for quiet in fault.quiet)
    assert {f.worker for f in faults if f.where == "namespace"} <= {2, 3}


def test_everything_that_is_planned_can_be_done() -> None:
    """Each kind has its blow, and each broken variant is aimed at kinds that there are."""
    assert set(FAULT_ACTIONS) == set(KINDS)
    assert all(set(variant.kinds) <= set(KINDS) for variant in VARIANTS.values())
