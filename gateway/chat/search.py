"""Messages found by their words, the newest first.

A rare word is one look into the index. A common one would be found a hundred thousand times to
show twenty: so the newest days are asked first, and eight times as many as long as too little is
found (docs/decisions/0009-search.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway import cursors
from gateway.chat.queries import search as queries
from gateway.chat.queries.search import SearchPosition, SearchScope
from gateway.chat.snippets import SearchTerms, search_terms, snippet
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import ConversationNotFound, Invalid
from gateway.protocol import FoundMessage, Message, MessageSearch, MessagesFound
from gateway.serving import serves

MIN_PREFIX_LETTERS = 3
"""Letters. What begins with two is nearly everything: 15 ms instead of 3 in 500,000 messages."""
MAX_NAMED_CONVERSATIONS = 8
"""Who is in more has all of them searched, and what others alone may read is left out afterwards:
each key of a query costs, 100 of them 15 ms."""
GROWTH = 8
LENGTHS = ((512, "y"), (64, "m"), (8, "w"), (1, "d"))
"""Days that realtime.search_key counts as one."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DayRange:
    """Days to look in, both included; without `first`, everything up to `last`."""

    first: int | None
    last: int


@serves(MessageSearch)
async def messages(ctx: Context, command: MessageSearch) -> MessagesFound:
    """Return a page of messages that have all the words, with the place of each in the text."""
    place = SearchPosition(*cursors.unpack_message(command.cursor)) if command.cursor else None
    async with ctx.reading() as conn:
        scope = await queries.scope(
            conn,
            ctx.user_id,
            command.text,
            conversation_id=command.conversation_id,
            most=MAX_NAMED_CONVERSATIONS + 1,
        )
        if command.conversation_id is not None and not scope.conversation_ids:
            raise ConversationNotFound
        if not scope.words:
            raise Invalid("Look for at least one letter or digit.", path="text")
        found = await _search(conn, ctx.user_id, command, scope, place)
    wanted = search_terms(scope.words, beginning=_ends_in_prefix(command, scope))
    page = found[: command.limit]
    return MessagesFound(
        messages=[_shown(message, wanted) for message in page],
        next=_cursor(page[-1]) if len(found) > command.limit else None,
    )


async def _search(
    conn: Conn,
    employee_id: int,
    command: MessageSearch,
    scope: SearchScope,
    place: SearchPosition | None,
) -> list[Message]:
    """Return one message more than a page holds, if there are."""
    if scope.earliest is None or scope.latest is None:
        return []
    until = command.until or scope.latest + timedelta(days=1)
    before = min(
        place or SearchPosition(until, 0, 0), SearchPosition(until, 0, 0), key=lambda one: one.at
    )
    keys = _keys(command, scope)
    found: list[Message] = []
    for window in day_ranges(
        _day(min(before.at, scope.latest)), _day(command.since or scope.earliest),
        all_before=command.since is None,
    ):  # fmt: skip
        found += await queries.find_messages(
            conn,
            employee_id,
            " & ".join([*keys, *_days(window)]),
            since=command.since,
            before=before,
            limit=command.limit + 1 - len(found),
        )
        if len(found) > command.limit or window.first is None:
            break
        before = min(before, SearchPosition(_moment(window.first), 0, 0), key=lambda one: one.at)
    return found


def day_ranges(last: int, first: int, *, all_before: bool) -> Iterator[DayRange]:
    """Return what to look through, from the last day to the first, ever more days at once.

    With all_before, the oldest window has no beginning: an imported message may be older than
    its conversation.
    """
    days = 1
    while last - days >= first:
        # Begun where eight days, 64 or 512 begin, a window is few keys.
        grid = max(1, days // GROWTH)
        start = max(first, (last - days + 1) // grid * grid)
        yield DayRange(start, last)
        last = start - 1
        days *= GROWTH
    if all_before or last >= first:
        yield DayRange(None if all_before else first, last)


def _keys(command: MessageSearch, scope: SearchScope) -> list[str]:
    """Return what a message must have, as parts of a tsquery.

    Words hold nothing but letters and digits, so there is nothing in them to be escaped.
    """
    keys = [f"'{word}'" for word in scope.words]
    if _ends_in_prefix(command, scope):
        keys[-1] += ":*"
    if len(scope.conversation_ids) <= MAX_NAMED_CONVERSATIONS:
        keys.append(_any_of(f"#{number}" for number in scope.conversation_ids))
    if command.sender_id is not None:
        keys.append(f"'={command.sender_id}'")
    if command.has_attachment:
        keys.append("'+'")
    return keys


def _days(window: DayRange) -> list[str]:
    """Return the window's days as a part of a tsquery, in as few keys as there are."""
    if window.first is None:
        return []
    day, keys = window.last, []
    while day >= window.first:
        for length, letter in LENGTHS:
            if (day + 1) % length == 0 and day - length + 1 >= window.first:
                keys.append(f"@{letter}{day // length}")
                day -= length
                break
    return [_any_of(keys)]


def _any_of(keys: Iterator[str] | Sequence[str]) -> str:
    return "(" + " | ".join(f"'{key}'" for key in keys) + ")"


def _ends_in_prefix(command: MessageSearch, scope: SearchScope) -> bool:
    """Say whether the last word may be only the beginning of one: not when a space follows it."""
    return not command.text[-1].isspace() and len(scope.words[-1]) >= MIN_PREFIX_LETTERS


def _day(moment: datetime) -> int:
    return (moment - EPOCH).days


def _moment(day: int) -> datetime:
    return EPOCH + timedelta(days=day)


def _shown(message: Message, wanted: SearchTerms) -> FoundMessage:
    text, matches = snippet(message.text, wanted)
    return FoundMessage(message=message, snippet=text, matches=matches)


def _cursor(message: Message) -> str:
    return cursors.pack_message(message.created_at, message.conversation_id, message.seq)
