-- Proves the conditions of 0058 and 0066 for the rows that are there; who writes goes on meanwhile.
DO $$
DECLARE
    bound name := (SELECT conname FROM pg_constraint
                    WHERE conrelid = 'realtime.audit'::regclass AND conname LIKE 'audit\_until\_%'
                      AND contype = 'c');
BEGIN
    EXECUTE format('ALTER TABLE realtime.audit VALIDATE CONSTRAINT audit_source_check,
                    VALIDATE CONSTRAINT audit_request_id_check,
                    VALIDATE CONSTRAINT audit_subject_check, VALIDATE CONSTRAINT %I', bound);
END
$$;
