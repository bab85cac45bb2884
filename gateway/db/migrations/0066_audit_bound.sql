-- The rows that are there will be one partition, up to a bound: the end of next month, or later.

-- NOT VALID, as in 0058. Rows of the time after the bound are refused until 0068 is applied, which
-- normally follows at once; who stops in between has more than a month.
DO $$
DECLARE
    newest timestamp := (SELECT greatest(now(), max(at)) AT TIME ZONE 'UTC' FROM realtime.audit);
    bound  timestamp := date_trunc('month', newest) + interval '2 months';
BEGIN
    EXECUTE format('ALTER TABLE realtime.audit ADD CONSTRAINT %I CHECK (at < %L) NOT VALID',
                   to_char(bound, '"audit_until_"YYYY_MM'), bound AT TIME ZONE 'UTC');
END
$$;
