-- A softphone knows its own sessions by their SIP Call-ID: with it, it finds its leg of a call.

ALTER TABLE realtime.call_legs ADD COLUMN sip_call_id text;

COMMENT ON COLUMN realtime.call_legs.sip_call_id IS
    'The Call-ID of the SIP dialogue with this telephone, where the PBX tells it.';
