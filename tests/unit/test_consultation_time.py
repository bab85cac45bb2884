"""What an agent talks on two lines of one call counts once, as a clock beside them would count."""

from __future__ import annotations

import random

import pytest

from ingest.model.call_state import CallState
from tests.support.amounts import seeds
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.scripted_pbx import CALLER, A, ScriptedPbx

LINES = ["PJSIP/301-00000010", "PJSIP/301-00000011", "PJSIP/301-00000012"]
COLLEAGUES = ["PJSIP/302-00000020", "PJSIP/303-00000021", "PJSIP/304-00000022"]
KINDS = ("transferred", "cancelled", "all three", "not answered")
HOLDS = ("none", "hold", "leaves the bridge")
"""What the telephone, or the PBX, does with the customer meanwhile."""


class Consulting:
    """An agent who consults; the clock notes each second in which they talk on any line."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.pbx = ScriptedPbx()
        self._second = 0
        self._talking: set[str] = set()
        self.clock: set[int] = set()
        self.pbx.call_in()
        self.pbx.rings(A)
        self._pass_time()
        self.pbx.up(A, CALLER)
        self._join(A, CALLER)
        self._pass_time()

    def consult_some(self) -> None:
        for line, colleague in list(zip(LINES, COLLEAGUES, strict=True))[
            : self._dice.randint(1, 3)
        ]:
            kind = self._dice.choice(KINDS)
            self._consult(line, colleague, kind)
            if kind == "transferred":
                break
        self._pass_time()
        self._end(A)
        self.pbx.hangup(CALLER, *COLLEAGUES)

    def _consult(self, line: str, colleague: str, kind: str) -> None:
        hold = self._dice.choice(HOLDS)
        self._away(hold)
        self._pass_time()
        self.pbx.new(line, number="301")
        self.pbx.rings(colleague, by=line)
        self._pass_time()
        if kind == "not answered":
            self.pbx.hangup(colleague, line, cause="19")
        else:
            self.pbx.up(colleague, line)
            self._join(line, colleague)
            self._pass_time()
        if kind == "transferred":
            self._transfer(line, colleague)
            return
        if kind == "all three":
            self._back(hold)
            self._pass_time()
        if kind != "not answered":
            self._end(line)
            self.pbx.hangup(colleague)
        if kind != "all three":
            self._back(hold)
        self._pass_time()

    def _away(self, hold: str) -> None:
        if hold == "hold":
            self.pbx.send("Hold", A)
        elif hold == "leaves the bridge":
            self.pbx.leave(A)
            self._talking.discard(A)

    def _back(self, hold: str) -> None:
        if hold == "hold":
            self.pbx.send("Unhold", A)
        elif hold == "leaves the bridge":
            self._join(A)

    def _transfer(self, line: str, colleague: str) -> None:
        self.pbx.send("AttendedTransfer", Result="Success", OrigTransfererUniqueid=A,
                      OrigTransfererLinkedid=CALLER, SecondTransfererUniqueid=line,
                      TransferTargetUniqueid=colleague, TransfereeUniqueid=CALLER)  # fmt: skip
        self._end(line)
        self._end(A)
        self.pbx.leave(CALLER)
        self.pbx.enter("handed", CALLER, colleague)

    def _pass_time(self) -> None:
        lasts = self._dice.randint(2, 30)
        if self._talking:
            self.clock |= set(range(self._second, self._second + lasts))
        self._second += lasts
        self.pbx.at(self._second)

    def _join(self, line: str, *others: str) -> None:
        self.pbx.enter(f"of {line}", line, *others)
        self._talking.add(line)

    def _end(self, line: str) -> None:
        self.pbx.hangup(line)
        self._talking.discard(line)


def once_ms(call: CallState, extension: str) -> int:
    """Return what the statistics add up for a telephone."""
    legs = [leg for leg in call.legs if leg.extension == extension]
    return sum((leg.talk_ms or 0) - (leg.overlap_ms or 0) for leg in legs)


@seeds(12, 60)
def test_all_lines_together_talk_as_long_as_the_clock_says(seed: int) -> None:
    """Consultations in a row: taken over, given up, joined by all, with and without a hold."""
    agent = Consulting(seed)
    agent.consult_some()

    assert once_ms(agent.pbx.call, "301") / 1_000 == pytest.approx(len(agent.clock), abs=0.2)


def test_the_second_line_of_a_consultation_is_what_counts_twice() -> None:
    """As long as the first one stays in its conversation, with the customer on hold."""
    agents = [Consulting(seed) for seed in range(60)]
    for agent in agents:
        agent.consult_some()

    added = [
        sum(leg.talk_ms or 0 for leg in agent.pbx.call.legs if leg.extension == "301")
        - once_ms(agent.pbx.call, "301")
        for agent in agents
    ]

    assert sum(more > 1_000 for more in added) > 20


RECORDED = {
    "l12_attended_transfer": ("101", 9.51),
    "l13_attended_transfer_cancelled": ("101", 10.5),
    "s05_sip_attended_transfer": ("301", None),
}
"""Recording → the consulting telephone, and for how long it talked as it logged itself."""


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_consultations_count_once(name: str) -> None:
    """As long as the telephone says; of two lines, never longer than from answer to hang-up."""
    extension, logged_s = RECORDED[name]
    call = next(one for one in calls_of(events_of_recording(name)) if one.direction == "inbound")
    legs = [leg for leg in call.legs if leg.extension == extension and leg.answered_at]
    first = min(leg.answered_at for leg in legs if leg.answered_at)
    last = max(leg.ended_at for leg in legs if leg.ended_at)

    assert once_ms(call, extension) <= (last - first).total_seconds() * 1_000
    if logged_s:
        assert once_ms(call, extension) / 1_000 == pytest.approx(logged_s, abs=0.3)
    else:
        assert sum(leg.talk_ms or 0 for leg in legs) > once_ms(call, extension)
