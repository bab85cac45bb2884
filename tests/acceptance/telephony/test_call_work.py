"""Dispositions and notes of calls, in every window and through merges."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.protocol import (
    CallAnnotated,
    CallDispositionSet,
    CallList,
    CallNoteAdd,
    CallNoteDelete,
    CallNoteEdit,
)
from tests.support.calls import made_call
from tests.support.desk import OKSANA, PETRO, Desk, employee, nothing_within, refused, staff

CALLS = "/v1/telephony/calls"
HEAD = employee(16)


async def merge(desk: Desk, call_id: uuid.UUID, into: uuid.UUID) -> None:
    """Merge two calls, as ingest does."""
    await desk.sql("DELETE FROM realtime.call_legs WHERE call_id = $1", call_id)
    await desk.sql(
        "UPDATE realtime.call_sessions SET merged_into = $2 WHERE id = $1", call_id, into
    )


def note(call_id: uuid.UUID, text: str = "Asks for the price list.", **fields: Any) -> CallNoteAdd:
    return CallNoteAdd(**{"call_id": call_id, "client_key": uuid.uuid4(), "text": text, **fields})


async def test_a_disposition_is_seen_in_every_window_until_it_is_cleared(desk: Desk) -> None:
    """The last one counts, on the socket and over HTTP; setting the same announces nothing."""
    call_id = await made_call(desk, OKSANA, PETRO)
    untouched = await made_call(desk, OKSANA)
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    http, head = desk.http(OKSANA), desk.http(HEAD)

    first = await oksana.request(CallDispositionSet(call_id=call_id, disposition="sale"))
    received = [await one.next(CallAnnotated) for one in (oksana, petro)]
    again = await oksana.request(CallDispositionSet(call_id=call_id, disposition="sale"))
    put = await head.put(f"{CALLS}/{call_id}/disposition", json={"disposition": "complaint"})
    replaced = await petro.next(CallAnnotated)

    assert (first.version, first.disposition.code, first.disposition.label) == (1, "sale", "Sale")
    assert [(one.version, one.disposition, one.note) for one in received] == [
        (1, first.disposition, None)
    ] * 2
    assert again == first
    assert put.json()["disposition"]["set_by"] == HEAD
    assert (replaced.version, replaced.disposition.code) == (2, "complaint")
    read = (await http.get(f"{CALLS}/{call_id}")).json()
    assert read["annotations"]["disposition"] == put.json()["disposition"]
    page = await oksana.request(CallList())
    assert {call.id for call in page.calls} == {call_id, untouched}
    assert [(key, one.code) for key, one in page.dispositions.items()] == [
        (str(call_id), "complaint")
    ]

    await oksana.request(CallDispositionSet(call_id=call_id, disposition=None))

    assert (await petro.next(CallAnnotated)).disposition is None
    assert (await http.get(CALLS)).json()["dispositions"] == {}
    assert (await http.get(f"{CALLS}/{untouched}")).json()["annotations"]["version"] == 0


async def test_only_active_dispositions_of_the_direction_can_be_set(small_desk: Desk) -> None:
    """An inactive one stays where it is set; the catalogue keeps its order, page by page."""
    http = small_desk.http(OKSANA)
    inbound = await made_call(small_desk, OKSANA)
    outbound = await made_call(small_desk, OKSANA, direction="outbound")

    async def put(call_id: uuid.UUID, code: str | None) -> tuple[int, str | None]:
        answer = await http.put(f"{CALLS}/{call_id}/disposition", json={"disposition": code})
        return answer.status_code, answer.json().get("error", {}).get("code")

    assert await put(inbound, "voicemail") == (404, "disposition.not_found")
    assert await put(outbound, "voicemail") == (200, None)
    assert await put(inbound, "no_such") == (404, "disposition.not_found")
    await small_desk.sql("UPDATE realtime.dispositions SET active = false WHERE code = 'voicemail'")
    assert await put(outbound, "voicemail") == (200, None)
    assert await put(outbound, "sale") == (200, None)
    assert await put(outbound, "voicemail") == (404, "disposition.not_found")

    seen, cursor = [], None
    while True:
        asked = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/v1/telephony/dispositions", params=asked)).json()
        seen += [(one["code"], one["active"]) for one in page["dispositions"]]
        cursor = page["next"]
        if cursor is None:
            break
    for statement in (
        "INSERT INTO realtime.dispositions (code, label) VALUES ('Not A Code', 'x')",
        "INSERT INTO realtime.dispositions (code, label, direction) VALUES ('x', 'x', 'sideways')",
        "DELETE FROM realtime.dispositions WHERE code = 'sale'",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await small_desk.sql(statement)
    assert seen[0] == ("resolved", True)
    assert seen[-1] == ("voicemail", False)
    assert len(seen) == len(set(seen)) == 7


async def test_a_note_is_added_once_edited_and_deleted_by_its_author(desk: Desk) -> None:
    """However often it is sent; everybody on the call receives each change once."""
    call_id = await made_call(desk, OKSANA, PETRO)
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    command = note(call_id)

    added = await asyncio.gather(*(oksana.request(command) for _ in range(5)))
    received = await petro.next(CallAnnotated)
    note_of = {"call_id": call_id, "note_id": added[0].note.note_id}

    assert len({(one.note.note_id, one.version) for one in added}) == 1
    assert (received.note, received.version) == (added[0].note, 1)
    assert await refused(oksana.request(note(call_id, "x", client_key=command.client_key))) == (
        "note.client_key_reused"
    )
    assert await refused(petro.request(CallNoteEdit(**note_of, text="mine"))) == "permission.denied"
    assert await refused(petro.request(CallNoteDelete(**note_of))) == "permission.denied"

    edited = await oksana.request(CallNoteEdit(**note_of, text="Wants the new price list."))
    assert await oksana.request(CallNoteEdit(**note_of, text=edited.note.text)) == edited
    assert (await oksana.request(command)).note == edited.note
    assert (await petro.next(CallAnnotated)).note == edited.note

    deleted = await oksana.request(CallNoteDelete(**note_of))
    assert await oksana.request(CallNoteDelete(**note_of)) == deleted
    assert (await oksana.request(command)).note == deleted.note
    assert await refused(oksana.request(CallNoteEdit(**note_of, text="back"))) == "note.not_found"
    gone = await petro.next(CallAnnotated)
    assert (gone.note.text, gone.version) == ("", 3)
    await nothing_within(petro.next(CallAnnotated), 0.1)
    (stored,) = await desk.sql("SELECT text FROM realtime.call_notes")
    assert stored["text"] == ""
    read = (await desk.http(PETRO).get(f"{CALLS}/{call_id}")).json()
    assert read["annotations"] == {
        "call_id": str(call_id), "version": 3, "disposition": None, "notes": []
    }  # fmt: skip


async def test_two_changes_at_once_have_a_version_each(desk: Desk) -> None:
    """Versions rise by one with every change, by any author on any node."""
    call_id = await made_call(desk, OKSANA, PETRO)
    people = [await desk.client(OKSANA), await desk.client(PETRO, node=1)]

    done = await asyncio.gather(
        *(one.request(note(call_id, f"{n}")) for n in range(5) for one in people),
        *(
            one.request(CallDispositionSet(call_id=call_id, disposition=code))
            for one, code in zip(people, ("sale", "resolved"), strict=True)
        ),
    )

    assert sorted(one.version for one in done) == list(range(1, 13))
    (stored,) = await desk.sql("SELECT version FROM realtime.call_annotations")
    written = await desk.sql("SELECT id FROM realtime.call_notes ORDER BY id")
    assert stored["version"] == 12
    assert [row["id"] for row in written] == sorted(one.note.note_id for one in done[:10])


async def test_annotations_of_a_consultation_stay_with_the_merged_call(
    small_desk: Desk,
) -> None:
    """By either id; the disposition that was set last counts, and a retry finds its note."""
    call_id = await made_call(small_desk, OKSANA)
    consultation = await made_call(small_desk, OKSANA, PETRO, direction="internal")
    oksana = await small_desk.client(OKSANA)
    written = note(consultation, "Petro knows the customer.")
    await oksana.request(CallDispositionSet(call_id=call_id, disposition="sale"))
    before = await oksana.request(written)
    await oksana.request(CallDispositionSet(call_id=consultation, disposition="call_later"))
    await merge(small_desk, consultation, call_id)

    read = (await small_desk.http(OKSANA).get(f"{CALLS}/{consultation}")).json()
    retried = await oksana.request(written)
    page = await oksana.request(CallList())

    assert read["call"]["id"] == read["annotations"]["call_id"] == str(call_id)
    assert [one["text"] for one in read["annotations"]["notes"]] == ["Petro knows the customer."]
    assert read["annotations"]["disposition"]["code"] == "call_later"
    assert (retried.call_id, retried.note, retried.version) == (call_id, before.note, 3)
    assert {key: one.code for key, one in page.dispositions.items()} == {str(call_id): "call_later"}
    edit = CallNoteEdit(call_id=call_id, note_id=before.note.note_id, text="Petro knows her.")
    assert (await oksana.request(edit)).version == 4


async def test_calls_of_others_and_bad_input_change_nothing(small_desk: Desk) -> None:
    """A call of others looks as if it did not exist; what cannot be stored is refused."""
    call_id = await made_call(small_desk, OKSANA)
    http, petro = small_desk.http(OKSANA), small_desk.http(PETRO)
    theirs = (await http.post(
        f"{CALLS}/{call_id}/notes", json={"client_key": str(uuid.uuid4()), "text": "a note"}
    )).json()["note"]  # fmt: skip
    key = str(uuid.uuid4())

    for path, method, body in (
        ("disposition", "PUT", {"disposition": "sale"}),
        ("notes", "POST", {"client_key": key, "text": "x"}),
        (f"notes/{theirs['note_id']}", "PATCH", {"text": "x"}),
        (f"notes/{theirs['note_id']}", "DELETE", None),
    ):
        asked: dict[str, Any] = {} if body is None else {"json": body}
        others = await petro.request(method, f"{CALLS}/{call_id}/{path}", **asked)
        nobodys = await petro.request(method, f"{CALLS}/{uuid.uuid4()}/{path}", **asked)
        assert (others.status_code, others.content) == (404, nobodys.content)
    for bad in (
        {"client_key": key, "text": ""},
        {"client_key": key, "text": "x" * 4_001},
        {"client_key": key, "text": "a\0b"},
        {"client_key": "one", "text": "x"},
        {"client_key": key, "text": 7},
        {"client_key": key, "text": "x", "author_id": PETRO},
        {"text": "x"},
    ):
        wrong = await http.post(f"{CALLS}/{call_id}/notes", json=bad)
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "command.invalid"), bad
    codes: tuple[Any, ...] = ("Sale", "a\0", "", "x" * 65, 7, {})
    for code in codes:
        wrong = await http.put(f"{CALLS}/{call_id}/disposition", json={"disposition": code})
        assert wrong.status_code == 422, code
    lone = await http.post(
        f"{CALLS}/{call_id}/notes",
        content=f'{{"client_key": "{key}", "text": "\\ud800"}}',
        headers={"Content-Type": "application/json"},
    )
    huge = await http.patch(f"{CALLS}/{call_id}/notes/{2**63}", json={"text": "x"})
    elsewhere = await http.patch(
        f"{CALLS}/{await made_call(small_desk, OKSANA)}/notes/{theirs['note_id']}",
        json={"text": "x"},
    )

    assert (lone.status_code, huge.status_code) == (400, 422)
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (404, "note.not_found")
    assert (await http.get("/v1/telephony/dispositions", params={"cursor": "x"})).status_code == 422
    read = (await http.get(f"{CALLS}/{call_id}")).json()["annotations"]
    assert (read["version"], read["notes"]) == (1, [theirs])

    # A call takes a hundred notes; the next is refused until one is deleted.
    await small_desk.sql(
        "INSERT INTO realtime.call_notes (call_id, author_id, client_key, text)"
        " SELECT $1, 1, gen_random_uuid(), n::text FROM generate_series(1, 99) AS n",
        call_id,
    )
    more = {"client_key": key, "text": "one more"}
    full = await http.post(f"{CALLS}/{call_id}/notes", json=more)
    await http.delete(f"{CALLS}/{call_id}/notes/{theirs['note_id']}")
    assert (full.status_code, full.json()["error"]["code"]) == (409, "note.too_many")
    assert (await http.post(f"{CALLS}/{call_id}/notes", json=more)).status_code == 201


async def test_a_telephone_of_one_pbx_has_precedence_over_one_of_any_pbx(
    small_desk: Desk,
) -> None:
    """102 is Petro's, but on this PBX Oksana's: her calls there are hers alone, his are his."""
    await small_desk.sql(
        "UPDATE demo_crm.desk_phones SET pbx = '*' WHERE staff_id = $1", *staff(PETRO)
    )
    await small_desk.sql(
        "INSERT INTO demo_crm.desk_phones (pbx, extension, staff_id) VALUES ('main', '102', $1)",
        *staff(OKSANA),
    )
    hers, his = await made_call(small_desk, PETRO), await made_call(small_desk, PETRO)
    await small_desk.sql("UPDATE realtime.call_sessions SET source = 'other' WHERE id = $1", his)
    hung_up = {hers: datetime.now(UTC) - timedelta(hours=1)}
    hung_up[his] = hung_up[hers] - timedelta(hours=1)
    for call_id, at in hung_up.items():
        await small_desk.sql(
            "UPDATE realtime.call_legs SET ended_at = $2 WHERE call_id = $1", call_id, at
        )

    for who, theirs, others in ((OKSANA, hers, his), (PETRO, his, hers)):
        http = small_desk.http(who)
        await small_desk.sql("UPDATE realtime.call_sessions SET ended_at = NULL")
        welcome = (await small_desk.client(who)).welcome
        assert [one.id for one in welcome.calls] == [theirs]
        assert welcome.agent is not None
        assert welcome.agent.since == hung_up[theirs]
        await small_desk.sql("UPDATE realtime.call_sessions SET ended_at = now()")
        assert [one["id"] for one in (await http.get(CALLS)).json()["calls"]] == [str(theirs)]
        assert (await http.get(f"{CALLS}/{theirs}")).status_code == 200
        for answer in (
            await http.get(f"{CALLS}/{others}"),
            await http.get(f"{CALLS}/{others}/recordings/{others}"),
            await http.put(f"{CALLS}/{others}/disposition", json={"disposition": "sale"}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "call.not_found")
