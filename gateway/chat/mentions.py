"""Mentions in a text: `<@17>` is an employee, `<@all>` everybody in the conversation.

The tokens stay in the text; clients show names in their place. A token that names nobody in the
conversation is plain text.
"""

from __future__ import annotations

import re

from gateway.auth.permissions import MESSAGES_MENTION_ALL
from gateway.chat.queries.messages import Mentions
from gateway.context import Context
from gateway.protocol.frame import MAX_INT

TOKEN = re.compile(r"<@(all|[1-9][0-9]{0,18})>")


def mentions_in(ctx: Context, text: str) -> Mentions:
    """Return each mention of a text once, in order; takes time proportional to its length."""
    named = dict.fromkeys(TOKEN.findall(text))
    if not named:
        return Mentions()
    return Mentions(
        employee_ids=[int(one) for one in named if one != "all" and int(one) <= MAX_INT],
        all="all" in named,
        may_all=MESSAGES_MENTION_ALL in ctx.identity.permissions,
    )
