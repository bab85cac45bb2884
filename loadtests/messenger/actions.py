"""Performs each action of the plan through the Python client.

client ─▶ ActionRunner ─▶ gateway.client. Acknowledged messages are recorded.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    ConversationAdd,
    ConversationArchive,
    ConversationClose,
    ConversationLeave,
    ConversationMute,
    ConversationNotify,
    ConversationPin,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUnarchive,
    ConversationUnpin,
    ConversationUpdate,
    DraftClear,
    DraftSet,
    Message,
    ReceiptDelivered,
    ReceiptReadAll,
    ReceiptUnread,
)
from loadtests.messenger.plan import Action
from loadtests.messenger.view import ClientView

STUBBORN = 0.2
"""How often something is tried where one is not: it must answer as if it did not exist."""
EMOJIS = ("👍", "❤️", "😀", "🎉", "👀")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A message that the gateway acknowledged."""

    conversation_id: int
    client_key: uuid.UUID
    text: str
    reply_to_seq: int | None
    seq: int


@dataclass(frozen=True, slots=True)
class ActionTargets:
    """The plan's numbers, as they are in the database."""

    people: Sequence[int]
    """Person → employee."""
    pools: Mapping[int, Sequence[int]]
    """Conversation, in the plan's order → the employees it concerns; the first owns it."""


class ActionRunner:
    """One device's hands."""

    def __init__(self, connection: Connection, view: ClientView, scene: ActionTargets) -> None:
        self.connection = connection
        self.view = view
        self.acknowledged: list[Acknowledged] = []
        self._scene = scene
        self._rooms = list(scene.pools)
        self._handlers: dict[str, Callable[[Action, int], Awaitable[object]]] = {
            "send": self._send, "reply": self._reply, "mention": self._mention,
            "again": self._again, "twice": self._twice, "edit": self._edit,
            "delete": self._delete, "react": self._react, "unreact": self._unreact,
            "read": self._read, "unread": self._unread, "delivered": self._delivered,
            "typing": self._typing, "history": self._history, "leave": self._leave,
            "add": self._add, "role": self._role, "close": self._close,
        }  # fmt: skip

    async def do(self, action: Action) -> None:
        """Perform it; RequestRefused and TimeoutError are for the caller."""
        room = self._where(action)
        handler = self._handlers.get(action.kind)
        if handler is not None:
            await handler(action, room)
        else:
            await self.connection.request(self._plain(action, room))

    def _where(self, action: Action) -> int:
        """Choose the planned conversation; where I am not, mostly another one."""
        room, mine = self._rooms[action.room], sorted(self.view.rooms.keys() & set(self._rooms))
        if room in mine or not mine or action.dice < STUBBORN:
            return room
        return mine[int(len(mine) * action.dice)]

    def _plain(self, action: Action, room: int) -> Any:
        """Return the command of what needs no looking."""
        far = datetime.now(UTC) + timedelta(days=9)
        levels = ("all", "mentions", "none")
        histories = ("all", "joined")
        commands: dict[str, Callable[[], Any]] = {
            "read_all": ReceiptReadAll,
            "archive": lambda: ConversationArchive(conversation_id=room),
            "unarchive": lambda: ConversationUnarchive(conversation_id=room),
            "pin": lambda: ConversationPin(conversation_id=room),
            "unpin": lambda: ConversationUnpin(conversation_id=room),
            "mute": lambda: ConversationMute(conversation_id=room, until=far),
            "unmute": lambda: ConversationMute(conversation_id=room),
            "notify": lambda: ConversationNotify(
                conversation_id=room,
                level=levels[int(action.dice * 3)],  # type: ignore[arg-type]
            ),
            "draft": lambda: DraftSet(conversation_id=room, text=action.text),
            "undraft": lambda: DraftClear(conversation_id=room),
            "remove": lambda: ConversationRemove(
                conversation_id=room, employee_id=self._who(action)
            ),
            "rename": lambda: ConversationUpdate(conversation_id=room, title=action.text),
            "history_for": lambda: ConversationUpdate(
                conversation_id=room,
                history=histories[int(action.dice * 2)],  # type: ignore[arg-type]
            ),
        }
        return commands[action.kind]()

    def _who(self, action: Action) -> int:
        return self._scene.people[action.person]

    def _any(self, room: int, dice: float) -> int:
        """Choose a message, one of the newest rather than an old one."""
        seqs = sorted(self._messages(room))
        return seqs[int(len(seqs) * dice**0.2)] if seqs else 1

    def _own(self, room: int, dice: float) -> int:
        me = self.view.employee_id
        own = sorted(
            seq
            for seq, one in self._messages(room).items()
            if one.sender_id == me and one.deleted_at is None
        )
        return own[int(len(own) * dice)] if own else 1

    def _messages(self, room: int) -> dict[int, Message]:
        found = self.view.rooms.get(room)
        return found.messages if found else {}

    async def _typing(self, action: Action, room: int) -> None:  # noqa: ARG002 - as the others
        await self.connection.typing(room)

    async def _history(self, action: Action, room: int) -> None:
        await self.connection.history(room, around=self._any(room, action.dice), limit=20)

    async def _send(self, action: Action, room: int) -> None:
        await self._say(room, action.text, uuid.uuid4())

    async def _mention(self, action: Action, room: int) -> None:
        whom = "all" if action.dice < 0.3 else self._who(action)
        await self._say(room, f"{action.text} <@{whom}>", uuid.uuid4())

    async def _reply(self, action: Action, room: int) -> None:
        await self._say(room, action.text, uuid.uuid4(), reply_to=self._any(room, action.dice))

    async def _again(self, action: Action, room: int) -> None:
        """Send what was acknowledged long ago again, or something new when there is nothing."""
        mine = [one for one in self.acknowledged if one.conversation_id == room]
        if mine:
            again = mine[int(len(mine) * action.dice)]
            await self._say(room, again.text, again.client_key, reply_to=again.reply_to_seq)
        else:
            await self._send(action, room)

    async def _twice(self, action: Action, room: int) -> None:
        """Send one message by two requests at once."""
        key = uuid.uuid4()
        sends = [self._say(room, action.text, key) for _ in range(2)]
        results = await asyncio.gather(*sends, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _say(
        self, room: int, text: str, key: uuid.UUID, *, reply_to: int | None = None
    ) -> None:
        sent = await self.connection.send(room, text, client_key=key, reply_to_seq=reply_to)
        self.acknowledged.append(Acknowledged(room, key, text, reply_to, sent.seq))

    async def _edit(self, action: Action, room: int) -> None:
        await self.connection.edit(room, self._own(room, action.dice), f"{action.text} edited")

    async def _delete(self, action: Action, room: int) -> None:
        await self.connection.delete(room, self._own(room, action.dice))

    async def _react(self, action: Action, room: int) -> None:
        await self.connection.react(room, self._any(room, action.dice), self._emoji(action))

    async def _unreact(self, action: Action, room: int) -> None:
        """Take one of my reactions back, if there is any."""
        me = self.view.employee_id
        mine = [
            (seq, one.emoji)
            for seq, message in sorted(self._messages(room).items())
            for one in message.reactions
            if me in one.employee_ids
        ]
        seq, emoji = mine[int(len(mine) * action.dice)] if mine else (1, self._emoji(action))
        await self.connection.unreact(room, seq, emoji)

    @staticmethod
    def _emoji(action: Action) -> str:
        return EMOJIS[int(action.dice * 1_000) % len(EMOJIS)]

    async def _read(self, action: Action, room: int) -> None:
        await self.connection.read(room, self._any(room, action.dice))

    async def _unread(self, action: Action, room: int) -> None:
        seq = self._any(room, action.dice)
        await self.connection.request(ReceiptUnread(conversation_id=room, seq=seq))

    async def _delivered(self, action: Action, room: int) -> None:
        seq = self._any(room, action.dice)
        await self.connection.request(ReceiptDelivered(conversation_id=room, seq=seq))

    async def _leave(self, action: Action, room: int) -> None:
        """Leave; the owner stays and writes instead, to add the others again."""
        if self._scene.pools[room][0] == self.view.employee_id:
            await self._send(action, room)
        else:
            await self.connection.request(ConversationLeave(conversation_id=room))

    async def _add(self, action: Action, room: int) -> None:
        """Add the planned person and, so that leaving does not empty the room, one who is out."""
        found = self.view.rooms.get(room)
        inside = found.people if found else {}
        away = [one for one in self._scene.pools[room] if one not in inside][:2]
        asked = list(dict.fromkeys([self._who(action), *away]))
        await self.connection.request(ConversationAdd(conversation_id=room, employee_ids=asked))

    async def _role(self, action: Action, room: int) -> None:
        await self.connection.request(
            ConversationSetRole(
                conversation_id=room,
                employee_id=self._who(action),
                role="admin" if action.dice < 0.6 else "member",
            )
        )

    async def _close(self, action: Action, room: int) -> None:  # noqa: ARG002 - as the others
        """Close it and open it again; what is sent meanwhile is refused."""
        await self.connection.request(ConversationClose(conversation_id=room))
        while True:
            try:
                await self.connection.request(ConversationReopen(conversation_id=room))
            except RequestRefused as refused:
                if refused.code != "connection.lost":  # else it would stay closed
                    raise
            else:
                return
