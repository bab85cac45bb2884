"""web/sdk/client.js in a page of its own, and how a test talks to it."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Error, Page

from tests.browser.fake_gateway import FakeGateway, Visit

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
  const types = [
    'message.created', 'message.updated', 'message.reacted', 'conversation.created', 'reload',
    'typing.started',
  ];
  for (const type of types) {
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
        page.on("pageerror", self._note_error)

    async def leave(self, url: str) -> None:
        """Let the page be over, so that it no longer reconnects: at `url`, there is nothing."""
        await self.page.goto(url)
        await self.page.unroute_all()
        self.page.remove_listener("pageerror", self._note_error)

    def _note_error(self, error: Error) -> None:
        self.problems.append(str(error))

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

    async def wait_for_retry(self) -> None:
        """Let the time pass until the next attempt; more would run into its deadlines."""
        left = await self.page.evaluate(
            "Math.max(0, (gateway.state.retryAt ?? 0) - Date.now())"  # it may have come by itself
        )
        await self.page.clock.run_for(left + 1)

    async def answer(self) -> Any:
        return await self.until("window.answers?.shift()")


async def arrive(client: Client, fake: FakeGateway, **welcome: Any) -> Visit:
    """Connect and be welcomed."""
    await client.connect()
    visit = await fake.visit()
    await visit.welcome(**welcome)
    await client.until("gateway.state.name === 'live'")
    return visit
