"""Search for messages by words, the newest first.

A rare word needs one index search. A common one would match 100,000 messages to show twenty: so the
newest day is searched first, then ranges of eight times as many days until a page is full
(docs/decisions/0009-search.md).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway import cursors
from gateway.chat.queries import search as queries
from gateway.chat.queries.search import SearchPosition, SearchScope
from gateway.chat.snippets import snippet
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import ConversationNotFound, Invalid
from gateway.protocol import FoundMessage, Message, MessageSearch, MessagesFound
from gateway.search_words import SearchTerms
from gateway.serving import serves

MIN_PREFIX_LETTERS = 3
"""Letters of a prefix. Two match nearly everything: 15 ms instead of 3 in 500,000 messages."""
MAX_NAMED_CONVERSATIONS = 8
"""For someone who is in more conversations, all messages are searched and those they may not read
are dropped afterwards: each key of a query costs time, 100 of them 15 ms."""
GROWTH = 8
LENGTHS = ((512, "y"), (64, "m"), (8, "w"), (1, "d"))
"""Numbers of days that have one key in realtime.search_key, with its letter."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DayRange:
    """Days to search, both inclusive; without `first`, everything up to `last`."""

    first: int | None
    last: int


@serves(MessageSearch)
async def messages(ctx: Context, command: MessageSearch) -> MessagesFound:
    """Return a page of messages with all the words, and where the words are in each text."""
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
            raise Invalid("The text needs at least one letter or digit.", path="text")
        found = await _search(conn, ctx.user_id, command, scope, place)
    wanted = SearchTerms.of(scope.words, beginning=_ends_in_prefix(command, scope))
    page = found[: command.limit]
    shown = [
        await ctx.services.loop_share.run_all(ctx.user_id, _shown(message, wanted))
        for message in page
    ]
    return MessagesFound(
        messages=shown,
        next=_cursor(page[-1]) if len(found) > command.limit else None,
    )


async def _search(
    conn: Conn,
    employee_id: int,
    command: MessageSearch,
    scope: SearchScope,
    place: SearchPosition | None,
) -> list[Message]:
    """Return up to one message more than a page holds."""
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
    """Return the ranges to search, from the last day to the first, each with more days.

    With all_before, the oldest range has no beginning: an imported message may be older than its
    conversation.
    """
    days = 1
    while last - days >= first:
        # A range that begins where 8, 64 or 512 days begin needs few keys.
        grid = max(1, days // GROWTH)
        start = max(first, (last - days + 1) // grid * grid)
        yield DayRange(start, last)
        last = start - 1
        days *= GROWTH
    if all_before or last >= first:
        yield DayRange(None if all_before else first, last)


def _keys(command: MessageSearch, scope: SearchScope) -> list[str]:
    """Return the keys that a message must have, as parts of a tsquery.

    Words consist of letters and digits only: nothing needs escaping.
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
    """Return the days of a range as a part of a tsquery, in as few keys as possible."""
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
    """Return whether the last word may be a prefix: not when a space follows it."""
    return not command.text[-1].isspace() and len(scope.words[-1]) >= MIN_PREFIX_LETTERS


def _day(moment: datetime) -> int:
    return (moment - EPOCH).days


def _moment(day: int) -> datetime:
    return EPOCH + timedelta(days=day)


def _shown(message: Message, wanted: SearchTerms) -> Generator[None, None, FoundMessage]:
    text, matches = yield from snippet(message.text, wanted)
    return FoundMessage(message=message, snippet=text, matches=matches)


def _cursor(message: Message) -> str:
    return cursors.pack_message(message.created_at, message.conversation_id, message.seq)
