"""Who did what, written by the statement that does it, and kept by the month.

    act = ctx.act("message.delete", conversation_id=17, seq=5, sender_id=3)
    await edits.delete(conn, message, by=3, audit=act)    # one statement: both, or neither

Reading it is gateway/chat/audit.py's. The CRM writes here by realtime.audit_event().
"""

from gateway.audit.act import COMMAND_ID, SOURCES, Act, Origin, Source
from gateway.audit.queries.audit import record

__all__ = ["COMMAND_ID", "SOURCES", "Act", "Origin", "Source", "record"]
