"""System messages that the CRM writes itself, with attributes of any form."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.bus.routing import removed_employees
from gateway.protocol import MessageCreated
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk

EVENTS: list[Any] = ["left", "removed", ["left"], {}, None, 7]
IDS: list[Any] = [..., None, 5, "2", {}, [], ["2", None, 2.5, True, [2], {}]]

ODD: list[dict[str, Any]] = [
    {"event": event, **({} if ids is ... else {"employee_ids": ids})}
    for event in EVENTS
    for ids in IDS
]
"""An event that names removed employees, or does not, beside ids that are none."""


@pytest.mark.parametrize("attrs", ODD, ids=str)
def test_attributes_of_another_form_name_nobody(attrs: dict[str, Any]) -> None:
    """Whatever object the CRM wrote, reading it raises nothing."""
    assert list(removed_employees("system", attrs)) == []


async def test_odd_attributes_stop_no_other_conversation(small_desk: Desk) -> None:
    """A node that reads such messages delivers them, and what comes after them elsewhere."""
    oksana = await small_desk.client(OKSANA)
    odd, other = [(await oksana.open(one)).conversation.id for one in (PETRO, IRYNA)]
    send = "SELECT * FROM realtime.send_message($1, NULL, $2, attrs => $3::jsonb)"

    for number, attrs in enumerate(ODD):
        await small_desk.sql(send, odd, f"odd {number}", orjson.dumps(attrs).decode())
    await small_desk.sql(send, other, "after", "{}")

    wanted = {f"odd {number}" for number in range(len(ODD))} | {"after"}
    while wanted:
        wanted.discard((await oksana.next(MessageCreated)).message.text)
