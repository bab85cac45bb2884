"""A missed call becomes a request to those who may call back, is claimed by one, and is closed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    CallbackChanged,
    CallbackClaim,
    CallbackClose,
    CallbackList,
    CallbackRelease,
    CallbackReopen,
    MissedCallCreated,
)
from gateway.telephony.callbacks import missed
from gateway.telephony.callbacks.queries import callbacks as queries
from tests.support.calls import ANSWERED, IVAN, call_back, miss, play, recorded
from tests.support.desk import (
    IRYNA,
    OKSANA,
    PETRO,
    Desk,
    employee,
    eventually,
    nothing_within,
    refused,
)

SOLOMIIA = employee(5)
"""A trainee, who may not call back."""
PATH = "/v1/telephony"
JSON = {"Content-Type": "application/json"}


async def missed_request(desk: Desk, *, number: str = IVAN) -> int:
    """Miss a call; return the id of its request."""
    call_key = await miss(desk, number=number)

    async def item() -> int | None:
        rows = await desk.sql(
            "SELECT k.callback_id FROM realtime.callback_calls AS k"
            "  JOIN realtime.call_aliases AS a ON a.call_id = k.call_id AND a.key = $1",
            call_key,
        )
        return rows[0]["callback_id"] if rows else None

    found: int = await eventually(item)
    return found


async def changed(client: Connection, state: str) -> CallbackChanged:
    """Return the next change after which a request is in this state."""
    while True:
        event: CallbackChanged = await client.next(CallbackChanged)
        if event.callback.state == state:
            return event


async def test_a_missed_call_is_published_claimed_and_closed_by_calling_back(desk: Desk) -> None:
    """Everybody with the permission receives each step, on any node; an answered call closes it."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    trainee = await desk.client(SOLOMIIA)
    assert (oksana.welcome.callbacks_open, trainee.welcome.callbacks_open) == (0, None)

    await miss(desk)

    for who in (oksana, petro):
        missed_call = await who.next(MissedCallCreated)
        assert missed_call.callback.customer is not None
        assert missed_call.callback.customer.name == "Ivan Petrenko"
        assert missed_call.callback.customer.open_work
        assert (missed_call.callback.calls, missed_call.open) == (1, 1)
    claimed = await oksana.request(CallbackClaim(callback_id=missed_call.callback.id))
    assert (claimed.callback.state, claimed.callback.claimed_by) == ("claimed", OKSANA)
    received = await changed(petro, "claimed")
    assert (received.callback, received.open) == (claimed.callback, 0)
    await call_back(desk)
    done = (await changed(petro, "closed")).callback
    assert (done.outcome, done.how, done.closed_by) == ("reached", "call", None)
    assert done.recover_ms is not None
    await nothing_within(trainee.next(), 0.1)
    assert (await petro.request(CallbackList())).callbacks == []
    assert (await petro.request(CallbackList(state="closed"))).callbacks == [done]


async def test_of_two_who_claim_at_once_one_gets_it(desk: Desk) -> None:
    """The others learn who; that one may claim again, release it, or let the claim expire."""
    item = await missed_request(desk)
    people = {
        OKSANA: await desk.client(OKSANA),
        PETRO: await desk.client(PETRO, node=1),
        IRYNA: await desk.client(IRYNA, node=1),
    }

    answers = await asyncio.gather(
        *(client.request(CallbackClaim(callback_id=item)) for client in people.values()),
        return_exceptions=True,
    )

    (won,) = (one for one in answers if not isinstance(one, BaseException))
    lost = [one for one in answers if isinstance(one, RequestRefused)]
    winner = people.pop(won.callback.claimed_by)
    assert [one.code for one in lost] == ["callback.claimed"] * 2
    assert all(winner.welcome.user.name in str(one) for one in lost)
    loser = next(iter(people.values()))
    assert await refused(loser.request(CallbackRelease(callback_id=item))) == "callback.claimed"
    close = CallbackClose(callback_id=item, outcome="no_answer")
    assert await refused(loser.request(close)) == "callback.claimed"
    again = (await winner.request(CallbackClaim(callback_id=item))).callback
    assert again.claim_until > won.callback.claim_until
    assert again.claimed_at == won.callback.claimed_at
    free = (await winner.request(CallbackRelease(callback_id=item))).callback
    assert (free.state, free.claimed_by, free.claim_until) == ("open", None, None)
    assert (await loser.request(CallbackClaim(callback_id=item))).callback.state == "claimed"
    await desk.sql("UPDATE realtime.callbacks SET claim_until = now()")
    taken = (await winner.request(CallbackClaim(callback_id=item))).callback
    assert taken.claimed_by == winner.welcome.user.id, (
        "the claim had expired, but was not released yet"
    )
    await desk.sql("UPDATE realtime.callbacks SET claim_until = now()")
    while (given := (await changed(loser, "open")).callback).version <= taken.version:
        pass
    assert given.claimed_by is None


async def test_of_two_claims_at_once_the_newest_count_is_right(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sees the other's before its COMMIT: the count is read after it, with its moment."""
    items = [await missed_request(desk, number=number) for number in (IVAN, "+380441234567")]
    people = [await desk.client(OKSANA), await desk.client(PETRO, node=1)]
    listener = await desk.client(IRYNA)
    both, write = asyncio.Barrier(2), queries.claim

    async def together(*args: Any, **fields: Any) -> None:
        await write(*args, **fields)
        async with asyncio.timeout(5):
            await both.wait()

    monkeypatch.setattr(queries, "claim", together)
    await asyncio.gather(
        *(
            who.request(CallbackClaim(callback_id=item))
            for who, item in zip(people, items, strict=True)
        )
    )

    received = [await changed(listener, "claimed") for _ in items]
    counted = {event.open_as_of or 0: event.open for event in received}
    newest = max(counted)
    assert counted[newest] == 0
    page = await people[0].request(CallbackList())
    assert (page.open, listener.welcome.callbacks_open) == (0, 2)
    assert page.open_as_of > newest > (listener.welcome.callbacks_open_as_of or 0) > 0
    listed = (await desk.http(OKSANA).get(f"{PATH}/callbacks")).json()
    assert listed["open_as_of"] > page.open_as_of


async def test_a_request_closed_by_hand_stays_closed_until_it_is_reopened(desk: Desk) -> None:
    """Closing twice is closing once; with a newer request of the customer it stays closed."""
    item, oksana, petro = (
        await missed_request(desk),
        await desk.client(OKSANA),
        await desk.client(PETRO),
    )
    close = CallbackClose(callback_id=item, outcome="no_answer", note="Nobody. Їхати завтра")

    closed = await oksana.request(close)
    again = await oksana.request(close)

    assert (closed.callback.note, closed.callback.closed_by) == (close.note, OKSANA)
    assert again == closed
    for act in (CallbackClaim, CallbackRelease):
        assert await refused(petro.request(act(callback_id=item))) == "callback.closed"
    assert await refused(petro.request(close)) == "callback.closed"
    newer = await missed_request(desk)
    reopen = CallbackReopen(callback_id=item)
    assert newer != item
    assert await refused(petro.request(reopen)) == "callback.another_open"
    await petro.request(CallbackClose(callback_id=newer, outcome="reached"))
    opened = (await petro.request(reopen)).callback
    assert (opened.state, opened.outcome, opened.note, opened.calls) == ("open", None, None, 1)
    assert (await petro.request(reopen)).callback == opened
    await eventually(lambda: _settled(desk))
    assert (await petro.request(CallbackList())).callbacks == [opened]


async def _settled(desk: Desk) -> bool:
    return not await desk.sql("SELECT FROM realtime.callback_news")


async def test_missing_permission_and_bad_input_change_nothing(desk: Desk) -> None:
    """Neither list nor change without the permission; a refusal names the field."""
    item, http = await missed_request(desk), desk.http(SOLOMIIA)
    trainee = await desk.client(SOLOMIIA)

    for command in (
        CallbackList(),
        CallbackClaim(callback_id=item),
        CallbackRelease(callback_id=item),
        CallbackClose(callback_id=item, outcome="reached"),
        CallbackReopen(callback_id=item),
        CallbackClaim(callback_id=999_999),
    ):
        assert await refused(trainee.request(command)) == "permission.denied"
    assert (await http.get(f"{PATH}/missed-calls")).status_code == 403
    assert (await desk.http().get(f"{PATH}/callbacks")).status_code == 401
    oksana = await desk.client(OKSANA)
    unknown = CallbackClaim(callback_id=2**63 - 1)
    assert await refused(oksana.request(unknown)) == "callback.not_found"
    http = desk.http(OKSANA)
    for path, asked, field in (
        ("callbacks", {"cursor": "x"}, "cursor"),
        ("callbacks", {"queue": "a\0"}, "queue"),
        ("callbacks", {"limit": 101}, "limit"),
        ("callbacks", {"state": "lost"}, "state"),
        ("missed-calls", {"number": "\0"}, "number"),
        ("missed-calls", {"since": "2026-01-01T00:00:00"}, "since"),
        ("missed-calls", {"cursor": "WzFd"}, "cursor"),
        ("lookup", {"number": "\0"}, "number"),
        ("lookup", {"number": ""}, "number"),
        ("lookup", {"number": "1" * 201}, "number"),
        ("lookup", {"number": IVAN, "region": "XX"}, "region"),
        ("lookup", {}, "number"),
    ):
        answer = await http.get(f"{PATH}/{path}", params=asked)
        assert answer.status_code == 422, (path, asked, answer.text)
        assert answer.json()["error"]["path"].endswith(field)
    reached = {"outcome": "reached"}
    for body in (
        {}, {"outcome": "mistaken"}, {**reached, "note": "a\0b"},
        {**reached, "note": "x" * 2_001}, {**reached, "x": 1},
    ):  # fmt: skip
        answer = await http.post(f"{PATH}/callbacks/{item}/close", json=body)
        assert answer.status_code == 422, body
    broken = b'{"outcome": "reached", "note": "\\ud800"}'
    answer = await http.post(f"{PATH}/callbacks/{item}/close", content=broken, headers=JSON)
    assert answer.json()["error"]["code"] == "frame.malformed"
    assert (await http.post(f"{PATH}/callbacks/{2**63}/claim")).status_code == 422
    (row,) = await desk.sql("SELECT state, version FROM realtime.callbacks")
    assert (row["state"], row["version"]) == ("open", 1)


async def test_a_changed_permission_takes_effect_on_open_sockets(desk: Desk) -> None:
    """Without it nothing more is received, with it everything from then on."""
    oksana, trainee = await desk.client(OKSANA), await desk.client(SOLOMIIA, node=1)
    await desk.sql("UPDATE demo_crm.staff SET role_id = CASE id WHEN 1 THEN 5 ELSE 1 END"
                   " WHERE id IN (1, 5)")  # fmt: skip
    await eventually(lambda: not _hears(desk, 0) and _hears(desk, 1))

    await miss(desk)

    assert (await trainee.next(MissedCallCreated)).open == 1
    await nothing_within(oksana.next(MissedCallCreated), 0.2)


def _hears(desk: Desk, node: int) -> bool:
    return bool(desk.nodes[node].node.delivery.hub.listeners("callbacks"))


async def test_a_worker_that_dies_after_the_commit_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that was not announced is delivered by the next check, and after lost news again."""
    petro = await desk.client(PETRO, node=1)

    def die(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(missed, "wake", die)
    await miss(desk)

    assert (await petro.next(MissedCallCreated)).callback.calls == 1
    await play(desk, await recorded(ANSWERED))  # the same number, answered
    assert (await changed(petro, "closed")).callback.outcome == "reached"
    await desk.sql("UPDATE realtime.callbacks SET note = 'lost', changed_at = now()")
    desk.nodes[1].node.delivery.resynced()
    assert (await changed(petro, "closed")).callback.note == "lost"


async def test_lists_are_paged_and_filtered(desk: Desk) -> None:
    """Each request and each missed call is on one page; the longest wait is first."""
    numbers = [f"+3805010000{place:02}" for place in range(5)]
    oksana, http = await desk.client(OKSANA), desk.http(OKSANA)
    for number in numbers:
        await miss(desk, number=number)
        await oksana.next(MissedCallCreated)
    everything = (await oksana.request(CallbackList())).callbacks
    path = f"{PATH}/callbacks/{everything[3].id}"
    acts: list[tuple[str, dict[str, str], str]] = [
        ("claim", {}, "claimed"),
        ("release", {}, "open"),
        ("close", {"outcome": "wrong_number"}, "closed"),
        ("reopen", {}, "open"),
        ("claim", {}, "claimed"),
    ]
    for act, body, state in acts:
        done = await http.post(f"{path}/{act}", json=body)
        assert done.json()["callback"]["state"] == state, act

    seen, cursor = [], None
    while True:
        page = await oksana.request(CallbackList(limit=2, cursor=cursor))
        seen += [item.number for item in page.callbacks]
        if (cursor := page.next) is None:
            break
    assert seen == numbers
    for asked, expected in (
        ({"mine": True}, [3]),
        ({"state": "claimed"}, [3]),
        ({"state": "open"}, [0, 1, 2, 4]),
        ({"queue": "sales"}, []),
        ({"state": "closed"}, []),
    ):
        answer = (await http.get(f"{PATH}/callbacks", params=asked)).json()
        assert [item["number"] for item in answer["callbacks"]] == [
            numbers[place] for place in expected
        ]
        assert answer["open"] == 4
    first = (await http.get(f"{PATH}/missed-calls", params={"limit": 3})).json()
    rest = (await http.get(f"{PATH}/missed-calls", params={"cursor": first["next"]})).json()
    calls = first["calls"] + rest["calls"]
    assert [call["number"] for call in calls] == numbers[::-1]
    assert [call["callback_id"] for call in calls] == [item.id for item in everything][::-1]
    one = (await http.get(f"{PATH}/missed-calls", params={"number": numbers[1]})).json()
    assert [call["number"] for call in one["calls"]] == [numbers[1]]
    later = {"since": datetime.now(UTC).isoformat()}
    assert (await http.get(f"{PATH}/missed-calls", params=later)).json()["calls"] == []
