-- Statistics of calls: what they read by time, and little of what is large.

CREATE INDEX queue_stints_entered ON realtime.queue_stints (entered_at);

-- Who called again: read in this order, nothing has to be sorted. None of its columns changes
-- while a call goes on.
CREATE INDEX call_sessions_callers ON realtime.call_sessions (number_e164, started_at)
    INCLUDE (id)
    WHERE direction = 'inbound' AND merged_into IS NULL AND number_e164 IS NOT NULL;

-- Most conversations have no hold, and few ends are lost.
CREATE INDEX call_legs_odd ON realtime.call_legs (call_id) INCLUDE (hold_ms, ended_reason)
    WHERE kind = 'agent' AND (hold_ms > 0 OR ended_reason = 'lost');

-- Two kinds of event that no state is folded from.
CREATE INDEX call_events_transfers ON realtime.call_events (occurred_at, call_id)
    WHERE type IN ('transfer.blind', 'transfer.attended');
CREATE INDEX call_events_pauses ON realtime.call_events (occurred_at)
    WHERE type IN ('agent.paused', 'agent.unpaused');
