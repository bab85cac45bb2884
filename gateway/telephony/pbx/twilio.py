"""Receives Twilio's status callbacks: checks the signature, translates, submits to ingest.

rest/telephony ─▶ twilio ─▶ ingest's pipeline; the answer comes after the COMMIT.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl

from gateway.errors import Invalid, SignatureInvalid
from gateway.pbx_settings import TwilioPbx
from gateway.telephony.pbx import webhook
from gateway.telephony.pbx.webhook import WebhookResult
from ingest import InvalidCallback, Pipeline, RejectedInput, twilio_events, verify_twilio
from ingest import InvalidSignature as NotSigned

MAX_FIELDS = 200
"""A callback has 30 to 40."""


Fields = list[tuple[str, str]]


def check(account: TwilioPbx, body: bytes, *, signature: str | None) -> Fields:
    """Return the fields of a callback; SignatureInvalid when the account did not sign it."""
    fields = _fields(body)
    tokens = [token.get_secret_value() for token in account.tokens]
    try:
        verify_twilio(account.url, fields, signature=signature, tokens=tokens)
    except NotSigned:
        raise SignatureInvalid from None
    return fields


async def receive(
    pipeline: Pipeline, source: str, account: TwilioPbx, fields: Fields, *, region: str
) -> WebhookResult:
    """Store the events of a callback; returns after the COMMIT."""
    chosen = {} if account.extension is None else {"extension": account.extension}
    try:
        events = twilio_events(
            dict(fields),
            source=source,
            received_at=datetime.now(UTC),
            region=account.region or region,
            keep_native=pipeline.settings.payload_days > 0,
            **chosen,
        )
    except InvalidCallback as error:
        rejected = RejectedInput("event.invalid", str(error), dict(fields))
        await webhook.record_rejects(pipeline, source, [rejected])
        raise Invalid(f"{error}.") from None
    receipt = await webhook.submit(pipeline, events)
    return webhook.combine(receipt, receipt.rejected)


def _fields(body: bytes) -> Fields:
    """Decode a form; SignatureInvalid when it is none, as that has no valid signature either."""
    try:
        text = body.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise SignatureInvalid from None
