-- From where an act came, by which request, and what it was about: also for acts of the CRM.

-- NOT VALID: reading the rows that are there would block whoever audits meanwhile. 0067 does it.
ALTER TABLE realtime.audit
    ADD COLUMN source     text,
    ADD COLUMN request_id text,
    ADD COLUMN subject    text,
    ADD CONSTRAINT audit_source_check CHECK (source ~ '^[a-z]{1,20}$') NOT VALID,
    ADD CONSTRAINT audit_request_id_check CHECK (length(request_id) BETWEEN 1 AND 100) NOT VALID,
    ADD CONSTRAINT audit_subject_check CHECK (length(subject) BETWEEN 1 AND 200) NOT VALID;
