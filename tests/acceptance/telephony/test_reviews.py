"""Quality reviews: from the draft to the decision about a dispute, and their summary."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

import httpx2
import orjson
import pytest

from gateway.protocol import ReviewChanged
from tests.support.calls import made_call
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, employee, nothing_within

QUALITY = "/v1/telephony/quality"
HEAD, OTHER_HEAD = employee(16), employee(17)
CRITERIA: list[dict[str, Any]] = [
    {"key": "greeting", "label": "Greeting", "weight": 1, "max": 5},
    {"key": "solved", "label": "Solved", "weight": 3, "max": 10},
    {"key": "offer", "label": "Offer", "weight": 2, "max": 4},
]


async def body_of(waiting: Any, status: int = 200) -> dict[str, Any]:
    """Return the body of a response, which must have this status."""
    answer: httpx2.Response = await waiting
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def refusal(waiting: Any) -> tuple[int, str]:
    answer: httpx2.Response = await waiting
    return answer.status_code, answer.json()["error"]["code"]


async def scorecard(http: httpx2.AsyncClient, name: str = "Sales", **more: Any) -> int:
    body = {"name": name, "criteria": CRITERIA, **more}
    card = await http.post(f"{QUALITY}/scorecards", json=body)
    assert card.status_code in {200, 201}, card.text
    found: int = card.json()["scorecard_id"]
    return found


async def drafted(
    http: httpx2.AsyncClient, call_id: uuid.UUID, card: int, agent_id: int = OKSANA, **more: Any
) -> dict[str, Any]:
    body = {"call_id": str(call_id), "agent_id": agent_id, "scorecard_id": card, **more}
    made = await body_of(http.post(f"{QUALITY}/reviews", json=body), 201)
    review: dict[str, Any] = made["review"]
    return review


def score_of(points: dict[str, int], criteria: list[dict[str, Any]] = CRITERIA) -> float | None:
    """Compute the score as documented, independently of the tested code."""
    given = [one for one in criteria if one["key"] in points]
    if not given:
        return None
    got = sum(one["weight"] * points[one["key"]] / one["max"] for one in given)
    score: float = 100 * got / sum(one["weight"] for one in given)
    return score


async def test_a_review_goes_from_draft_to_the_decision_about_a_dispute(desk: Desk) -> None:
    """The agent sees it when published, disputes it once, and it is decided; all is audited."""
    call_id = await made_call(desk, OKSANA, PETRO)
    oksana, head = await desk.client(OKSANA), await desk.client(HEAD, node=1)
    petro = await desk.client(PETRO)
    http, agent, other = desk.http(HEAD), desk.http(OKSANA, node=1), desk.http(OTHER_HEAD)
    card = await scorecard(http)
    points = {"greeting": 5, "solved": 4, "offer": None}

    draft = await drafted(http, call_id, card, points=points, comment="Good.")
    path = f"{QUALITY}/reviews/{draft['review_id']}"
    assert (await head.next(ReviewChanged)).review.state == "draft"
    assert draft["score"] == pytest.approx(score_of({"greeting": 5, "solved": 4}))
    for someone in (agent, other):
        assert await refusal(someone.get(path)) == (404, "review.not_found")
    changed = await body_of(http.patch(path, json={"points": {"solved": 8}}))
    assert (changed["review"]["score"], changed["review"]["comment"]) == (80.0, "Good.")
    published = await body_of(http.post(f"{path}/publish"))
    assert await body_of(http.post(f"{path}/publish")) == published

    heard = (await oksana.next(ReviewChanged)).review
    assert (heard.state, heard.version, heard.score) == ("published", 3, 80.0)
    seen = await body_of(agent.get(path))
    assert seen == published
    assert seen["scorecard"]["criteria"] == CRITERIA
    assert await refusal(http.patch(path, json={"comment": "Bad."})) == (409, "review.wrong_state")
    assert await refusal(http.post(f"{path}/dispute", json={"text": "x"})) == (
        403, "permission.denied",
    )  # fmt: skip
    disputed = await body_of(agent.post(f"{path}/dispute", json={"text": "It was solved."}))
    assert await body_of(agent.post(f"{path}/dispute", json={"text": "It was solved."})) == disputed
    assert await refusal(agent.post(f"{path}/dispute", json={"text": "And more"})) == (
        409, "review.wrong_state",
    )  # fmt: skip
    assert await refusal(agent.post(f"{path}/acknowledge")) == (409, "review.wrong_state")

    verdict = {"resolution": "changed", "points": {"solved": 10, "offer": 2}, "text": "Right."}
    assert await refusal(agent.post(f"{path}/resolve", json=verdict)) == (403, "permission.denied")
    for wrong in ({"resolution": "changed"}, {"resolution": "upheld", "points": {}}):
        assert await refusal(other.post(f"{path}/resolve", json=wrong)) == (422, "command.invalid")
    resolved = (await body_of(other.post(f"{path}/resolve", json=verdict)))["review"]
    assert resolved["score"] == pytest.approx(score_of({"solved": 10, "offer": 2}))
    assert (resolved["state"], resolved["resolved_by"]) == ("resolved", OTHER_HEAD)
    assert await refusal(other.post(f"{path}/resolve", json=verdict)) == (409, "review.wrong_state")

    states = [(await oksana.next(ReviewChanged)).review.state for _ in range(2)]
    assert states == ["disputed", "resolved"]
    await nothing_within(petro.next(ReviewChanged), 0.1)
    acts = await desk.sql("SELECT act, actor_id, details FROM realtime.audit ORDER BY id")
    assert [(row["act"], row["actor_id"]) for row in acts] == [
        ("scorecard.create", HEAD), ("review.create", HEAD), ("review.update", HEAD),
        ("review.publish", HEAD), ("review.dispute", OKSANA), ("review.resolve", OTHER_HEAD),
    ]  # fmt: skip
    told = [orjson.loads(row["details"]) for row in acts[1:]]
    assert ["score" in one for one in told] == [False, False, True, True, True]
    assert orjson.loads(acts[-1]["details"])["points"] == [
        {"solved": 8}, {"solved": 10, "offer": 2},
    ]  # fmt: skip


async def test_who_may_review_whom(small_desk: Desk) -> None:
    """Nobody themselves, only those who were on the call, once; and only with the permission."""
    desk = small_desk
    call_id, others = await made_call(desk, OKSANA), await made_call(desk, PETRO)
    http, agent, director = desk.http(HEAD), desk.http(OKSANA), desk.http(DIRECTOR)
    card = await scorecard(http)
    body: dict[str, Any] = {"call_id": str(call_id), "agent_id": OKSANA, "scorecard_id": card}

    async def create(who: httpx2.AsyncClient, **more: Any) -> tuple[int, str]:
        return await refusal(who.post(f"{QUALITY}/reviews", json={**body, **more}))

    assert await create(agent) == (403, "permission.denied")
    assert await create(http, agent_id=PETRO) == (409, "review.not_on_call")
    assert await create(http, agent_id=HEAD) == (403, "review.of_oneself")
    assert await create(http, call_id=str(uuid.uuid4())) == (404, "call.not_found")
    assert await create(http, scorecard_id=card + 1) == (404, "scorecard.not_found")
    review = await drafted(http, call_id, card)
    assert (review["score"], review["points"]) == (None, {})
    assert await create(http) == (409, "review.exists")
    await drafted(director, call_id, card)
    path = f"{QUALITY}/reviews/{review['review_id']}"

    # Who grades and takes calls, too, decides nothing about a review of their own.
    await desk.sql(
        "UPDATE demo_crm.roles SET permissions = permissions || '{calls.review}'::text[]"
        " WHERE id = 1"
    )
    desk.forget_identities()
    assert await refusal(agent.get(path)) == (404, "review.not_found")
    await body_of(http.post(f"{path}/publish"))
    await body_of(agent.post(f"{path}/dispute", json={"text": "No."}))
    upheld = {"resolution": "upheld"}
    assert await refusal(agent.post(f"{path}/resolve", json=upheld)) == (403, "review.of_oneself")
    assert await create(agent, call_id=str(others), agent_id=PETRO) == (404, "call.not_found")
    resolved = await body_of(http.post(f"{path}/resolve", json=upheld))
    assert resolved["review"]["resolution"] == "upheld"
    about = (await body_of(agent.get(f"{QUALITY}/reviews")))["reviews"]
    assert [one["review_id"] for one in about] == [review["review_id"]]

    # Whoever is graded by a call may hear it, and acknowledges once.
    theirs = await drafted(http, others, card, agent_id=PETRO)
    await desk.sql("UPDATE demo_crm.roles SET permissions = '{}' WHERE id = 1")
    desk.forget_identities()
    petro = desk.http(PETRO)
    await desk.sql(
        "INSERT INTO realtime.call_recordings (call_id, id, recording, state, started_at, url)"
        " VALUES ($1, $1, 'r', 'ready', now(), 'https://rec.example.com/r')",
        others,
    )
    recording = f"/v1/telephony/calls/{others}/recordings/{others}"
    assert await refusal(petro.get(recording)) == (404, "recording.not_found")
    await body_of(http.post(f"{QUALITY}/reviews/{theirs['review_id']}/publish"))
    assert (await body_of(petro.get(recording)))["url"] == "https://rec.example.com/r"
    accepted = await body_of(petro.post(f"{QUALITY}/reviews/{theirs['review_id']}/acknowledge"))
    again = await body_of(petro.post(f"{QUALITY}/reviews/{theirs['review_id']}/acknowledge"))
    assert accepted == again
    assert accepted["review"]["state"] == "acknowledged"


async def test_a_reviewer_without_the_permission_receives_nothing_more(small_desk: Desk) -> None:
    """The agent's answer goes to the reviewer only while they may read it."""
    desk = small_desk
    http, agent = desk.http(HEAD), desk.http(OKSANA)
    card = await scorecard(http)
    calls = [await made_call(desk, OKSANA) for _ in range(2)]
    paths = []
    for call_id in calls:
        draft = await drafted(http, call_id, card)
        paths.append(f"{QUALITY}/reviews/{draft['review_id']}")
        await body_of(http.post(f"{paths[-1]}/publish"))
    oksana, head = await desk.client(OKSANA), await desk.client(HEAD)
    await body_of(agent.post(f"{paths[0]}/acknowledge"))
    assert (await head.next(ReviewChanged)).review.state == "acknowledged"
    assert (await oksana.next(ReviewChanged)).review.state == "acknowledged"

    await desk.sql(
        "UPDATE demo_crm.roles SET permissions = array_remove(permissions, 'calls.review')"
    )
    await body_of(agent.post(f"{paths[1]}/acknowledge"))

    assert (await oksana.next(ReviewChanged)).review.state == "acknowledged"
    await nothing_within(head.next(ReviewChanged), 0.1)


async def test_of_a_scorecards_versions_only_the_newest_is_used(small_desk: Desk) -> None:
    """An older one cannot be activated, also not while a newer one is being created."""
    http = small_desk.http(HEAD)
    first = await scorecard(http)
    second = await scorecard(http, criteria=CRITERIA[:2])

    async def use(card: int, active: bool) -> Any:
        return await http.patch(f"{QUALITY}/scorecards/{card}", json={"active": active})

    assert await refusal(use(first, True)) == (409, "scorecard.outdated")
    assert (await body_of(use(second, False)))["active"] is False
    assert await refusal(use(first, True)) == (409, "scorecard.outdated")
    assert (await body_of(use(first, False)))["version"] == 1
    _, changed = await asyncio.gather(scorecard(http, criteria=CRITERIA[:1]), use(second, True))
    assert changed.status_code in {200, 409}
    active = await small_desk.sql("SELECT version FROM realtime.scorecards WHERE active")
    assert [row["version"] for row in active] == [3]


async def test_an_edited_scorecard_is_a_new_version_and_reviews_keep_theirs(
    small_desk: Desk,
) -> None:
    """The same criteria make no new one; invalid criteria and points are refused."""
    desk = small_desk
    call_id = await made_call(desk, OKSANA, PETRO, IRYNA)
    http = desk.http(HEAD)
    first = await scorecard(http)
    review = await drafted(http, call_id, first, points={"offer": 1})
    assert await scorecard(http) == first
    second = await scorecard(http, criteria=CRITERIA[:2])
    third = await scorecard(http, "Service")

    cards = await body_of(http.get(f"{QUALITY}/scorecards", params={"limit": 2}))
    rest = await body_of(http.get(f"{QUALITY}/scorecards", params={"cursor": cards["next"]}))
    listed = [
        (one["scorecard_id"], one["version"], one["active"])
        for one in (*cards["scorecards"], *rest["scorecards"])
    ]
    assert listed == [(third, 1, True), (second, 2, True), (first, 1, False)]
    path = f"{QUALITY}/reviews/{review['review_id']}"
    assert (await body_of(http.patch(path, json={"points": {"offer": 4}})))["review"][
        "score"
    ] == 100
    assert await refusal(http.patch(path, json={"scorecard_id": second})) == (
        422, "command.invalid",
    )  # fmt: skip
    moved = await body_of(http.patch(path, json={"scorecard_id": second, "points": {"solved": 5}}))
    assert (moved["scorecard"]["version"], moved["review"]["score"]) == (2, 50.0)
    await body_of(http.patch(f"{QUALITY}/scorecards/{third}", json={"active": False}))
    assert await refusal(http.patch(path, json={"scorecard_id": third})) == (
        404, "scorecard.not_found",
    )  # fmt: skip

    wrong_points: list[Any] = [
        {"solved": 11}, {"unknown": 1}, {"solved": -1}, {"solved": 1.5}, {"solved": True},
        {"solved": "5"}, {"solved": 2**70}, {"a\0": 1}, [], 7,
    ]  # fmt: skip
    for points in wrong_points:
        answer = await http.patch(path, json={"points": points})
        assert answer.status_code == 422, points
    wrong_cards: list[dict[str, Any]] = [
        {"criteria": []}, {"criteria": [CRITERIA[0], CRITERIA[0]]}, {"name": ""},
        {"criteria": [{**CRITERIA[0], "weight": 0}]}, {"criteria": [{**CRITERIA[0], "max": 0}]},
        {"criteria": [{**CRITERIA[0], "key": "Not a key"}]}, {"name": "a\0b"}, {"version": 7},
        {"criteria": [{**CRITERIA[0], "key": f"k{n}"} for n in range(51)]},
    ]  # fmt: skip
    for change in wrong_cards:
        body = {"name": "Sales", "criteria": CRITERIA, **change}
        assert (await http.post(f"{QUALITY}/scorecards", json=body)).status_code == 422, change
    for body in ({"comment": "x" * 4_001}, {"comment": "a\0"}, {"state": "published"}):
        assert (await http.patch(path, json=body)).status_code == 422, body
    assert (await http.get(f"{QUALITY}/reviews/{2**63}")).status_code == 422
    agent = desk.http(OKSANA)
    assert await refusal(agent.get(f"{QUALITY}/scorecards")) == (403, "permission.denied")
    assert await refusal(agent.post(f"{QUALITY}/scorecards", json={
        "name": "x", "criteria": CRITERIA})) == (403, "permission.denied")  # fmt: skip
    assert (await body_of(http.get(path)))["review"] == moved["review"]


async def test_reviews_are_found_paged_and_add_up(small_desk: Desk) -> None:
    """Every filter and page against the same reviews filtered by hand; drafts are in no sum."""
    desk = small_desk
    http, agent = desk.http(HEAD), desk.http(OKSANA)
    cards = [await scorecard(http), await scorecard(http, criteria=CRITERIA[:2])]
    cards.append(await scorecard(http, "Service"))
    call_id = await made_call(desk, OKSANA, PETRO)
    merged = await made_call(desk, into=call_id)
    dice, now = random.Random(3), datetime.now(UTC)
    made: list[dict[str, Any]] = []
    for number in range(60):
        state = dice.choice(("draft", "published", "published", "acknowledged", "disputed"))
        points = {one["key"]: dice.randint(0, one["max"]) for one in CRITERIA[:2]
                  if dice.random() < 0.8}  # fmt: skip
        row = {
            "agent_id": dice.choice((OKSANA, PETRO)), "reviewer_id": 1_000 + number,
            "scorecard_id": dice.choice(cards), "points": points, "state": state,
            "created_at": now - timedelta(hours=number), "score": score_of(points),
        }  # fmt: skip
        made.append(row)
    await desk.sql(
        "INSERT INTO realtime.call_reviews (call_id, agent_id, reviewer_id, scorecard_id, points,"
        " score, state, created_at, published_at, disputed_at)"
        " SELECT $1, r.agent_id, r.reviewer_id, r.scorecard_id, r.points,"
        "        realtime.review_score(s.criteria, r.points), r.state, r.created_at,"
        "        CASE WHEN r.state <> 'draft' THEN r.created_at END,"
        "        CASE WHEN r.state = 'disputed' THEN r.created_at END"
        "   FROM jsonb_to_recordset($2::jsonb) AS r (agent_id bigint, reviewer_id bigint,"
        "        scorecard_id bigint, points jsonb, state text, created_at timestamptz)"
        "   JOIN realtime.scorecards AS s ON s.id = r.scorecard_id",
        call_id,
        orjson.dumps(made).decode(),
    )
    shown = [row for row in made if row["state"] != "draft"]

    async def reviewers(who: httpx2.AsyncClient, **asked: Any) -> list[int]:
        found, cursor = [], None
        while True:
            params = {**asked, "limit": 7} | ({"cursor": cursor} if cursor else {})
            page = await body_of(who.get(f"{QUALITY}/reviews", params=params))
            found += [one["reviewer_id"] for one in page["reviews"]]
            cursor = page["next"]
            if cursor is None:
                return found

    since = (now - timedelta(hours=30)).isoformat()
    for who, asked, fits in (
        (http, {}, lambda _: True),
        (agent, {}, lambda row: row["agent_id"] == OKSANA),
        (http, {"agent_id": PETRO}, lambda row: row["agent_id"] == PETRO),
        (agent, {"agent_id": PETRO}, lambda _: False),
        (http, {"reviewer_id": 1_007}, lambda row: row["reviewer_id"] == 1_007),
        (http, {"state": "disputed"}, lambda row: row["state"] == "disputed"),
        (http, {"state": "draft"}, lambda _: False),
        (http, {"since": since}, lambda row: row["created_at"] >= now - timedelta(hours=30)),
        (http, {"until": since}, lambda row: row["created_at"] < now - timedelta(hours=30)),
        (http, {"min_score": 40, "max_score": 60},
         lambda row: row["score"] is not None and 40 <= round(row["score"], 2) <= 60),
        (http, {"call_id": str(call_id)}, lambda _: True),
        (http, {"call_id": str(merged)}, lambda _: True),
        (http, {"call_id": str(uuid.uuid4())}, lambda _: False),
    ):  # fmt: skip
        expected = [row["reviewer_id"] for row in shown if fits(row)]
        assert await reviewers(who, **asked) == expected, asked

    times = {"since": (now - timedelta(days=9)).isoformat(), "until": now.isoformat()}
    first = await body_of(http.get(f"{QUALITY}/summary", params={**times, "limit": 1}))
    second = await body_of(
        http.get(f"{QUALITY}/summary", params={**times, "limit": 1, "after": first["next"]})
    )
    mine = await body_of(agent.get(f"{QUALITY}/summary", params=times))
    assert second["next"] is None
    assert mine["agents"] == first["agents"]
    for summed, agent_id in ((first["agents"][0], OKSANA), (second["agents"][0], PETRO)):
        rows = [r for r in shown if r["agent_id"] == agent_id and r["created_at"] < now]
        scores = [row["score"] for row in rows if row["score"] is not None]
        assert (summed["agent_id"], summed["reviews"]) == (agent_id, len(rows))
        assert summed["scored"] == len(scores)
        assert summed["mean"] == pytest.approx(fmean(scores), abs=0.02)
        assert (summed["lowest"], summed["highest"]) == pytest.approx(
            (min(scores), max(scores)), abs=0.01
        )
        assert summed["disputed"] == sum(row["state"] == "disputed" for row in rows)
        for one in summed["criteria"]:
            (criterion,) = [c for c in CRITERIA if c["key"] == one["key"]]
            of_card = cards[2:] if one["scorecard"] == "Service" else cards[:2]
            given = [
                100 * row["points"][one["key"]] / criterion["max"]
                for row in rows
                if row["scorecard_id"] in of_card and one["key"] in row["points"]
            ]
            assert (one["reviews"], one["label"]) == (len(given), criterion["label"])
            assert one["mean"] == pytest.approx(fmean(given), abs=0.01)
        assert len(summed["criteria"]) == 4
    for asked in (
        {"since": now.isoformat(), "until": now.isoformat()},
        {"since": (now - timedelta(days=367)).isoformat(), "until": now.isoformat()},
        {"since": "2026-01-01T00:00:00"},
        {"limit": 101},
    ):
        assert (await http.get(f"{QUALITY}/summary", params=asked)).status_code == 422, asked
    assert await refusal(agent.get(f"{QUALITY}/summary", params={"agent_id": PETRO})) == (
        403, "permission.denied",
    )  # fmt: skip
