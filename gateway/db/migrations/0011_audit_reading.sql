-- Reading the audit by act and by time; by conversation and by person it could be read before.

CREATE INDEX audit_act ON realtime.audit (act, id);

-- Rows come in the order of their time, or nearly so: one entry for 128 pages is enough to find it.
CREATE INDEX audit_at ON realtime.audit USING brin (at);
