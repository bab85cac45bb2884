"""web/client.js in a real browser, against a gateway that says what the test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.fake_gateway import FakeGateway, Visit, conversation, created, message

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CONNECT = """async ({ tokens, resume }) => {
  const { connect } = await import('/web/client.js');
  window.events = [];
  window.asked = [];
  const token = ({ refresh }) => {
    asked.push(refresh);
    return tokens.length > 1 ? tokens.shift() : tokens[0];
  };
  const device = { id: 'window-1', kind: 'web' };
  window.gateway = connect(`ws://${location.host}/v1/ws`, { token, device, resume });
  for (const type of ['message.created', 'conversation.created', 'reload', 'typing.started']) {
    gateway.on(type, (event) => events.push(event));
  }
}"""

REQUEST = """([type, fields]) => {
  window.answers ??= [];
  gateway.request(type, fields).then(
    (ok) => answers.push({ type, ok }),
    ({ code, path, retryAfter }) => answers.push({ type, code, path, retryAfter }),
  );
}"""


class Client:
    """The page's side."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    async def connect(self, *tokens: str, resume: dict[str, int] | None = None) -> None:
        given = {"tokens": tokens or ("t1",), "resume": resume or {}}
        await self.page.evaluate(CONNECT, given)

    async def request(self, type_: str, **fields: Any) -> None:
        await self.page.evaluate(REQUEST, [type_, fields])

    async def until(self, condition: str) -> Any:
        """Wait until a JavaScript expression is true; return its value."""
        handle = await self.page.wait_for_function(condition, timeout=10_000)
        return await handle.json_value()

    async def events(self, count: int) -> list[tuple[Any, ...]]:
        """Return (type, conversation, change) once so many events have come."""
        await self.until(f"events.length >= {count}")
        found = await self.page.evaluate("events")
        return [(one["type"], one["conversation_id"], one.get("change")) for one in found]

    async def answer(self) -> Any:
        return await self.until("window.answers?.shift()")


@pytest_asyncio.fixture(loop_scope="session")
async def fake() -> AsyncIterator[FakeGateway]:
    async with FakeGateway.running() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def client(chromium: Browser, fake: FakeGateway) -> AsyncIterator[Client]:
    context = await chromium.new_context()
    page = await context.new_page()
    made = Client(page)
    await page.clock.install()
    await page.goto(fake.url)
    yield made
    await context.close()
    assert made.problems == []


async def arrive(client: Client, fake: FakeGateway, **welcome: Any) -> Visit:
    """Connect and be welcomed."""
    await client.connect()
    visit = await fake.visit()
    await visit.welcome(**welcome)
    await client.until("gateway.state.name === 'live'")
    return visit


# --- resume --------------------------------------------------------------------------------------


async def test_hello_says_how_far_each_conversation_was_taken_in(
    client: Client, fake: FakeGateway
) -> None:
    """After a break the client resumes from the last change it has delivered."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await visit.say(created(6, change=7), created(1, change=2, conversation_id=90))
    await client.events(2)
    await visit.close(4601)

    hello = await (await fake.visit()).welcome()

    assert hello["resume"] == {"17": 7, "90": 2}
    assert hello["device"] == {"id": "window-1", "kind": "web"}


async def test_replays_come_before_live_events_and_nothing_twice(
    client: Client, fake: FakeGateway
) -> None:
    """What was missed is delivered in order, what was seen is dropped."""
    await client.connect(resume={"17": 7})
    visit = await fake.visit()
    await visit.welcome(
        conversations=[conversation(17, seq=8, change=9)],
        changes={"17": [created(6, change=7), created(7, change=8), created(8, change=9)]},
    )
    await visit.say(created(8, change=9), created(9, change=10))

    assert await client.events(3) == [("message.created", 17, change) for change in (8, 9, 10)]


async def test_a_conversation_with_too_many_changes_is_to_be_reloaded(
    client: Client, fake: FakeGateway
) -> None:
    """The client is told to fetch it anew, and resumes from where it then stands."""
    await client.connect(resume={"17": 7})
    visit = await fake.visit()
    await visit.welcome(conversations=[conversation(17, seq=900, change=901)], reload=[17])
    assert await client.events(1) == [("reload", 17, None)]
    await visit.say(created(901, change=902))
    await client.events(2)
    await visit.close(4601)

    hello = await (await fake.visit()).welcome()

    assert hello["resume"] == {"17": 902}


async def test_a_replay_that_falls_short_is_noticed(client: Client, fake: FakeGateway) -> None:
    """When the snapshot is further than what was replayed, the conversation is fetched anew."""
    await client.connect(resume={"17": 7})
    await (await fake.visit()).welcome(
        conversations=[conversation(17, seq=9, change=10)], changes={"17": [created(7, change=8)]}
    )

    assert await client.events(2) == [("message.created", 17, 8), ("reload", 17, None)]


# --- order ---------------------------------------------------------------------------------------


async def test_a_gap_is_filled_from_the_history(client: Client, fake: FakeGateway) -> None:
    """An event that is ahead waits until what is missing has been read."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await visit.say(created(8, change=9))
    asked = await visit.heard("message.history")
    assert (asked["conversation_id"], asked["after"]) == (17, 5)
    found = [message(seq, change=seq + 1) for seq in (6, 7, 8)]

    await visit.say(
        {"id": asked["id"], "ok": {"messages": found, "has_before": True, "has_after": False}}
    )

    assert await client.events(3) == [("message.created", 17, change) for change in (7, 8, 9)]


async def test_two_events_that_swapped_places_are_put_in_order(
    client: Client, fake: FakeGateway
) -> None:
    """The one that came too early is delivered as soon as its turn comes."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])

    await visit.say([created(7, change=8), created(6, change=7)])

    assert await client.events(2) == [("message.created", 17, 7), ("message.created", 17, 8)]


async def test_a_gap_that_is_no_message_leads_to_a_reload(
    client: Client, fake: FakeGateway
) -> None:
    """When the history does not have what is missing, the conversation is fetched anew."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await visit.say(created(6, change=9))

    for _ in range(3):
        asked = await visit.heard("message.history")
        page = {"messages": [message(6, change=9)], "has_before": True, "has_after": False}
        await visit.say({"id": asked["id"], "ok": page})

    assert await client.events(2) == [("message.created", 17, 9), ("reload", 17, None)]


async def test_a_frame_may_be_an_array(client: Client, fake: FakeGateway) -> None:
    """Each object of an array is taken as if it had come alone; unknown types do no harm."""
    visit = await arrive(client, fake)
    typing = {"type": "typing.started", "conversation_id": 17, "employee_id": 2, "expires_ms": 1}

    await visit.say([created(1, change=2), {"type": "news.of_the_future"}, typing])

    assert [event[0] for event in await client.events(2)] == ["message.created", "typing.started"]


# --- requests ------------------------------------------------------------------------------------


async def test_a_refusal_rejects_with_what_was_said(client: Client, fake: FakeGateway) -> None:
    """Code, path and retry_after reach whoever asked."""
    visit = await arrive(client, fake)
    await client.request("message.send", conversation_id=17, client_key="k", text="hi")
    asked = await visit.heard("message.send")

    await visit.say(
        {"id": asked["id"], "error": {"code": "limit.too_fast", "message": "!", "retry_after": 0.4}}
    )

    said = await client.answer()
    assert (said["code"], said["path"], said["retryAfter"]) == ("limit.too_fast", None, 0.4)


async def test_a_message_in_flight_is_sent_again_with_its_key(
    client: Client, fake: FakeGateway
) -> None:
    """Whether the first one arrived is unknown; the key makes the second one harmless."""
    visit = await arrive(client, fake)
    await client.request("message.send", conversation_id=17, client_key="k1", text="hi")
    await visit.heard("message.send")
    await visit.close(1011)

    visit = await fake.visit()
    await visit.welcome()
    again = await visit.heard("message.send")
    await visit.say({"id": again["id"], "ok": {"message": message(1, change=2)}})

    assert again["client_key"] == "k1"
    assert (await client.answer())["ok"]["message"]["seq"] == 1


async def test_what_may_not_be_repeated_is_reported_lost(client: Client, fake: FakeGateway) -> None:
    """A group whose making is uncertain is not made twice."""
    visit = await arrive(client, fake)
    await client.request("conversation.create", title="x", employee_ids=[2])
    await visit.heard("conversation.create")

    await visit.close(1011)

    assert (await client.answer())["code"] == "connection.lost"


async def test_requests_made_while_away_wait_for_the_connection(
    client: Client, fake: FakeGateway
) -> None:
    """They are sent after the welcome, in their order; typing is not worth waiting."""
    await client.connect()
    visit = await fake.visit()
    await client.request("unread.get")
    await client.request("typing.start", conversation_id=17)
    await client.request("call.list")
    assert (await client.answer())["code"] == "connection.lost"

    await visit.welcome()

    first, second = await visit.heard("unread.get"), await visit.heard("call.list")
    assert first["id"] < second["id"]


async def test_waiting_requests_are_bounded(client: Client, fake: FakeGateway) -> None:
    """The 501st request that waits for a connection is refused at once."""
    await client.connect()
    await fake.visit()

    code = await client.page.evaluate(
        """async () => {
          for (let n = 0; n < 500; n += 1) gateway.request('unread.get').catch(() => {});
          return gateway.request('unread.get').catch((error) => error.code);
        }"""
    )

    assert code == "request.too_many"


# --- closing and coming back ---------------------------------------------------------------------


@pytest.mark.parametrize("code", [4001, 4011, 4199])
async def test_a_close_for_good_stops_the_client(
    client: Client, fake: FakeGateway, code: int
) -> None:
    """Codes from 4000 to 4199, also unknown ones, mean: do not come back."""
    visit = await arrive(client, fake)
    await client.request("unread.get")
    await visit.heard("unread.get")

    await visit.close(code)

    assert await client.until("gateway.state.name === 'stopped' && gateway.state.code") == code
    assert (await client.answer())["code"] == "connection.closed"
    await client.page.clock.run_for(120_000)
    assert fake.visits.empty()


async def test_an_expired_token_is_replaced_before_coming_back(
    client: Client, fake: FakeGateway
) -> None:
    """Codes from 4200 to 4399 ask for a new token first."""
    await client.connect("old", "new")
    visit = await fake.visit()
    assert (await visit.welcome())["token"] == "old"

    await visit.close(4201)

    assert (await (await fake.visit()).welcome())["token"] == "new"
    assert await client.page.evaluate("asked") == [False, True]


async def test_without_a_newer_token_it_stays_away(client: Client, fake: FakeGateway) -> None:
    """The same token again would be refused again, for ever."""
    visit = await arrive(client, fake)

    await visit.close(4201)

    await client.until("gateway.state.name === 'stopped' && gateway.state.code === 4201")


async def test_a_refused_hello_stops_even_when_the_close_is_lost(
    client: Client, fake: FakeGateway
) -> None:
    """The error says what the close code would have said."""
    await client.connect()
    visit = await fake.visit()
    hello = await visit.heard("hello")
    await visit.say({"id": hello["id"], "error": {"code": "token.invalid", "message": "No."}})

    await client.page.clock.run_for(4_000)

    await client.until("gateway.state.name === 'stopped' && gateway.state.code === 4001")


async def test_a_hello_that_failed_for_a_moment_is_tried_again(
    client: Client, fake: FakeGateway
) -> None:
    """A refusal with retry_after is temporary: the client waits that long."""
    await client.connect()
    visit = await fake.visit()
    hello = await visit.heard("hello")
    error = {"code": "database.unavailable", "message": "!", "retry_after": 20.0}
    await visit.say({"id": hello["id"], "error": error})

    wait = "gateway.state.name === 'waiting' && gateway.state.retryAt - Date.now()"
    assert 15_000 < await client.until(wait) <= 40_000
    await client.page.clock.run_for(40_000)
    await (await fake.visit()).welcome()


async def test_a_bye_says_when_to_come_back(client: Client, fake: FakeGateway) -> None:
    """The client returns within the window, also when the close frame itself is lost."""
    visit = await arrive(client, fake)
    bye = {"type": "bye", "code": 4601, "reason": "drain", "resume": True}
    await visit.say({**bye, "retry_in": [30_000, 40_000]})
    visit.socket.transport.abort()

    waits = "gateway.state.name === 'waiting' && gateway.state.retryAt - Date.now()"
    assert 25_000 < await client.until(waits) <= 40_000
    assert await client.page.evaluate("gateway.state.code") == 4601
    await client.page.clock.run_for(40_000)
    await (await fake.visit()).welcome()


async def test_a_bye_without_resume_is_for_good(client: Client, fake: FakeGateway) -> None:
    """`resume: false` stops whatever the code says."""
    visit = await arrive(client, fake)

    await visit.say({"type": "bye", "code": 4601, "reason": "x", "resume": False, "retry_in": None})
    await visit.close(4601)

    await client.until("gateway.state.name === 'stopped'")


async def test_back_off_doubles_to_half_a_minute_with_full_jitter(client: Client) -> None:
    """The longest wait doubles from 0.5 s to 30 s; the shortest is none at all."""
    script = """async ([chance, verdict]) => {
      const { Backoff } = await import('/web/backoff.js');
      Math.random = () => chance;
      const backoff = new Backoff();
      return Array.from({ length: 8 }, () => backoff.next(verdict));
    }"""

    longest = await client.page.evaluate(script, [1, "back_off"])
    shortest = await client.page.evaluate(script, [0, "back_off"])
    at_once = await client.page.evaluate(script, [1, "now"])

    assert longest == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
    assert shortest == [0] * 8
    assert at_once == [500, 500, 500, 4_000, 8_000, 16_000, 30_000, 30_000]


# --- signs of life -------------------------------------------------------------------------------


async def test_a_ping_is_answered(client: Client, fake: FakeGateway) -> None:
    """The server's ping gets a pong."""
    visit = await arrive(client, fake)

    await visit.say({"type": "ping"})

    assert await visit.heard("pong") == {"type": "pong"}


async def test_silence_means_a_new_connection(client: Client, fake: FakeGateway) -> None:
    """Nothing for 1.5 ping intervals and 10 s: the connection is given up, and resumed."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await client.page.clock.run_for(47_000)
    assert await client.page.evaluate("gateway.state.name") == "live"

    await client.page.clock.run_for(2_000)

    hello = await (await fake.visit()).welcome()
    assert hello["resume"] == {"17": 6}
    await visit.socket.wait_closed()


async def test_a_change_of_network_is_looked_into(client: Client, fake: FakeGateway) -> None:
    """When the browser says the network changed, a dead connection is found within 5 s."""
    visit = await arrive(client, fake)
    await client.page.evaluate("dispatchEvent(new Event('offline'))")
    await visit.heard("ping")
    await visit.say({"type": "pong"})
    await client.request("unread.get")
    await visit.heard("unread.get")
    await client.page.clock.run_for(5_000)
    assert await client.page.evaluate("gateway.state.name") == "live"

    await client.page.evaluate("dispatchEvent(new Event('offline'))")
    await visit.heard("ping")
    await client.page.clock.run_for(6_000)

    await (await fake.visit()).welcome()


async def test_an_expiring_token_is_swapped_without_a_reconnect(
    client: Client, fake: FakeGateway
) -> None:
    """The client gets a new token and says so on the same connection."""
    await client.connect("old", "new")
    visit = await fake.visit()
    await visit.welcome()

    await visit.say({"type": "token.expiring", "expires_at": "2026-01-01T00:00:00Z"})

    assert (await visit.heard("token.refresh"))["token"] == "new"


async def test_a_listener_that_fails_costs_nothing(client: Client, fake: FakeGateway) -> None:
    """Its error is reported by the browser; the connection and other listeners go on."""
    visit = await arrive(client, fake)
    await client.page.evaluate(
        """() => {
          window.reported = [];
          addEventListener('error', (event) => {
            event.preventDefault();
            reported.push(event.message);
          });
          gateway.on('message.created', () => { throw new Error('mine'); });
        }"""
    )

    await visit.say(created(1, change=2), created(2, change=3))

    assert len(await client.events(2)) == 2
    await client.until("reported.length === 2 && reported[0].includes('mine')")
    client.problems.clear()
