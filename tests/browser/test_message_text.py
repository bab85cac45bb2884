"""web/state/message_text.js: what the page says of a system message."""

from __future__ import annotations

import pytest

from tests.browser.client import Client

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ROLE_TEXT = """async (attrs) => {
  const { MessageText } = await import('/web/state/message_text.js');
  const texts = new MessageText({ nameOf: (id) => `Employee ${id}` });
  return texts.plainText({ kind: 'system', attrs: { event: 'role_changed', ...attrs } });
}"""


async def test_a_role_that_the_gateway_gave_is_nobodys_doing(client: Client) -> None:
    """`by` is null then; the page names who received the role, and nobody as the giver."""
    given = {"by": None, "employee_ids": [2], "role": "owner"}
    given_by_one = {"by": 3, "employee_ids": [2], "role": "admin"}

    assert await client.page.evaluate(ROLE_TEXT, given) == "Employee 2 became an owner"
    said = await client.page.evaluate(ROLE_TEXT, given_by_one)
    assert said == "Employee 3 made Employee 2 an admin"
