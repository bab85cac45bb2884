"""Calls as clients see them: extensions become employees, numbers become customers.

ingest's CondensedCall ─▶ ScreenPop ─▶ Call on the wire. Two statements for any number of calls, and
a third when the last calls with the customer are shown: as a telephone begins to ring, and in the
welcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.db import Conn
from gateway.protocol import (
    Call,
    CallLeftOut,
    CallLeg,
    CallParking,
    CallTransfer,
    Customer,
    QueueStint,
)
from gateway.telephony.calls.queries import lookup
from gateway.telephony.calls.queries.lookup import Contacts, CustomerMatch
from ingest import CallState, CondensedCall, LegState, ParkingState, StintState, TransferState


class ScreenPop:
    """What the CRM has about some calls: their employees and their customers."""

    def __init__(
        self,
        employees: dict[tuple[str, str], int],
        customers: dict[str, CustomerMatch],
        contacts: Mapping[str, Contacts],
    ) -> None:
        self._employees = employees
        self._customers = customers
        self._contacts = contacts

    @classmethod
    async def read(
        cls, conn: Conn, states: Sequence[CallState], *, popping: Iterable[CallState] = ()
    ) -> ScreenPop:
        """Load employees and customers; for the calls in popping, also the last calls."""
        telephones = {(state.source, ext) for state in states for ext in _extensions(state)}
        numbers = sorted({state.number_e164 for state in states if state.number_e164})
        customers = await lookup.customers(conn, numbers) if numbers else {}
        shown = sorted({one.number_e164 or "" for one in popping} & customers.keys())
        return cls(
            await lookup.employees(conn, telephones) if telephones else {},
            customers,
            await lookup.contacts(conn, shown) if shown else {},
        )

    @classmethod
    async def of_telephones(
        cls, conn: Conn, source: str, extensions: Iterable[str | None]
    ) -> ScreenPop:
        """Load the employees of these telephones alone."""
        telephones = {(source, one) for one in extensions if one}
        return cls(await lookup.employees(conn, telephones) if telephones else {}, {}, {})

    def employee(self, source: str, extension: str | None) -> int | None:
        """Return the employee who has this telephone, None if nobody has."""
        return self._employees.get((source, extension)) if extension else None

    def with_contacts(self, call: Call, number_e164: str | None) -> Call:
        """Return the Call with the last calls of its customer."""
        contacts = self._contacts.get(number_e164 or "")
        if call.customer is None or contacts is None:
            return call
        known: Customer = replace(
            call.customer, contacts=contacts.calls, last_spoke=contacts.last_spoke
        )
        return replace(call, customer=known)

    def to_call(self, shown: CondensedCall) -> Call:
        """Return the Call that clients receive."""
        state, source = shown.state, shown.state.source
        match = self._customers.get(state.number_e164) if state.number_e164 else None
        return Call(
            id=state.id,
            version=state.version,
            source=source,
            direction=state.direction,
            status=state.status,
            outcome=state.outcome,
            number=state.number_e164 or state.number_raw,
            caller_name=state.caller_name,
            customer=match.customer if match else None,
            customers_found=match.found if match else 0,
            did=state.did,
            mailbox=state.mailbox,
            message_left=state.message_left,
            room=state.room,
            parked_ms=state.parked_ms,
            queue=state.queue,
            started_at=state.started_at,
            answered_at=state.answered_at,
            ended_at=state.ended_at,
            wait_ms=state.wait_ms,
            talk_ms=state.talk_ms,
            answered_by=self.employee(source, state.answered_extension),
            ring_group=state.ring_group,
            asked_extension=state.asked_extension,
            ended_by=state.ended_by,
            ended_by_extension=state.ended_by_extension,
            legs=[self.to_leg(source, leg) for leg in state.legs],
            stints=[to_stint(stint) for stint in state.stints],
            transfers=[self.to_transfer(source, one) for one in state.transfers],
            parkings=[self.to_parking(source, one) for one in state.parkings],
            left_out=_left_out(shown),
        )

    def to_leg(self, source: str, leg: LegState) -> CallLeg:
        """Return a leg of a call of this PBX."""
        return CallLeg(
            employee_id=self.employee(source, leg.extension),
            extension=leg.extension,
            kind=leg.kind,
            status=leg.status,
            ringing_at=leg.ringing_at,
            answered_at=leg.answered_at,
            ended_at=leg.ended_at,
            ended_reason=leg.ended_reason,
            forwarded_from=leg.forwarded_from,
            sip_call_id=leg.sip_call_id,
        )

    def to_transfer(self, source: str, one: TransferState) -> CallTransfer:
        """Return a transfer of a call of this PBX."""
        return CallTransfer(
            kind=one.kind,
            at=one.at,
            by=self.employee(source, one.by_extension),
            by_extension=one.by_extension,
            to=self.employee(source, one.to_extension),
            to_extension=one.to_extension,
            to_number=one.to_number,
            queue=one.queue,
            answered_at=one.answered_at,
            consult_ms=one.consult_ms,
        )

    def to_parking(self, source: str, one: ParkingState) -> CallParking:
        """Return a time of parking of a call of this PBX."""
        return CallParking(
            at=one.at,
            until=one.until,
            slot=one.slot,
            by=self.employee(source, one.by_extension),
            by_extension=one.by_extension,
            result=one.result,
            to=self.employee(source, one.to_extension),
            to_extension=one.to_extension,
        )


def _extensions(state: CallState) -> set[str]:
    """Return the extensions of which a call shows the employee.

    Whoever transferred or parked it may be on none of the legs that are shown.
    """
    found = {state.answered_extension, *state.extensions}
    for moved in state.transfers:
        found |= {moved.by_extension, moved.to_extension}
    for parked in state.parkings:
        found |= {parked.by_extension, parked.to_extension}
    return {one for one in found if one}


def to_stint(stint: StintState) -> QueueStint:
    """Return a stint as clients see it."""
    return QueueStint(
        queue=stint.queue,
        entered_at=stint.entered_at,
        answered_at=stint.answered_at,
        left_at=stint.left_at,
        outcome=stint.outcome,
        wait_ms=stint.wait_ms,
    )


def _left_out(shown: CondensedCall) -> CallLeftOut | None:
    counts = shown.left_out
    if not counts.total:
        return None
    return CallLeftOut(
        legs=counts.legs,
        stints=counts.stints,
        transfers=counts.transfers,
        parkings=counts.parkings,
    )
