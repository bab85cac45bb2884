"""Commands that change the connection itself: hello, a new token, and what the session watches.

Session ─▶ the functions here ─▶ admission, watch. They stand in the table of all commands
(gateway/serving.py); REST cannot run them.
"""

from __future__ import annotations

from dataclasses import replace

from gateway import commands
from gateway.auth.queries import standing
from gateway.errors import (
    DatabaseUnavailable,
    HelloTwice,
    Overloaded,
    TokenInvalid,
    TokenRevoked,
)
from gateway.protocol import (
    Hello,
    PresenceAway,
    PresenceWatch,
    PresenceWatched,
    QueueWatch,
    QueueWatched,
    TokenRefresh,
    TokenRefreshed,
    TopicUnwatch,
    TopicWatch,
    TopicWatched,
    Welcome,
)
from gateway.protocol.declaration import WrongDeclaration
from gateway.serving import HANDLERS, serves_in_session
from gateway.sockets.session.session import Session


def check_served() -> None:
    """WrongDeclaration when a command of the connection has no handler; pings need none."""
    unserved = [
        name
        for name in sorted(commands.CONNECTION_COMMANDS)
        if HANDLERS[name].cost != "ping" and not HANDLERS[name].by_session
    ]
    if unserved:
        raise WrongDeclaration(f"nothing serves {', '.join(unserved)}: write @serves_in_session")


@serves_in_session(Hello)
async def hello(session: Session, command: Hello) -> Welcome:
    """Admit the client."""
    if session.context is not None:
        raise HelloTwice
    welcome: Welcome = await session.parts.hello(session, command)
    session.token = None
    return welcome


@serves_in_session(TokenRefresh)
async def refresh_token(session: Session, command: TokenRefresh) -> TokenRefreshed:
    """Go on until a new token of the same employee ends.

    While the database is away, too: whether the token was revoked is looked up afterwards.
    """
    context = session.require_context()
    claims = await session.parts.tokens.authenticate(command.token)
    if claims.employee_id != session.user_id:
        raise TokenInvalid("A token of another employee does not refresh this session.")
    try:
        async with context.services.connection() as conn:
            if await standing.is_revoked(conn, claims.token_id):
                raise TokenRevoked
    except (DatabaseUnavailable, Overloaded):
        session.parts.unchecked_token()
    identity = session.require_context().identity
    session.update_identity(
        replace(identity, expires_at=claims.expires_at, token_id=claims.token_id)
    )
    session.token_refreshed()
    return TokenRefreshed(token_expires_at=claims.expires_at)


@serves_in_session(PresenceWatch)
async def watch_presence(session: Session, command: PresenceWatch) -> PresenceWatched:
    """Send this session the presence changes of these employees from now on."""
    session.require_context()
    return await session.parts.presence_watches.serve(session, command)


@serves_in_session(PresenceAway)
async def set_away(session: Session, command: PresenceAway) -> None:
    """Mark this device as away, or as back."""
    context = session.require_context()
    await context.presence.set_away(context.user_id, session.id, command.away)


@serves_in_session(QueueWatch)
async def watch_queues(session: Session, command: QueueWatch) -> QueueWatched:
    """Send this session the changes of these queues from now on."""
    session.require_context()
    return await session.parts.queue_watches.serve(session, command)


@serves_in_session(TopicWatch)
async def watch_topics(session: Session, command: TopicWatch) -> TopicWatched:
    """Send this session the events of these topics from now on."""
    session.require_context()
    return await session.parts.topic_watches.watch(session, command)


@serves_in_session(TopicUnwatch)
async def unwatch_topics(session: Session, command: TopicUnwatch) -> None:
    """Send this session the events of these topics no longer."""
    session.require_context()
    session.parts.topic_watches.unwatch(session, command)
