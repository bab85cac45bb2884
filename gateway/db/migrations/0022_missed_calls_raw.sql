-- The list of missed calls, by a number that is none in E.164: an extension, `anonymous`.

CREATE INDEX missed_calls_raw ON realtime.missed_calls (number_raw, started_at DESC, call_id DESC)
 WHERE number_e164 IS NULL;
