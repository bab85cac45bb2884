-- Employees whose record or permissions the CRM has changed: every node reads them again at once.
CREATE TABLE realtime.permission_changes (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    employee_ids bigint[]
);

CREATE INDEX permission_changes_at ON realtime.permission_changes (changed_at);

COMMENT ON TABLE realtime.permission_changes IS
    'What realtime.permissions_changed() was told in the last hour. employee_ids NULL: everybody.';

-- Only an INSERT: nobody waits for anybody, and a rollback leaves no trace.
CREATE FUNCTION realtime.permissions_changed(VARIADIC employee_ids bigint[] DEFAULT '{}')
RETURNS void
-- DEFINER with a fixed path, as realtime.send_message.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cardinality(employee_ids) > 1000 THEN
        RAISE EXCEPTION 'Name at most 1000 employees, or none for all.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'employee_ids';
    END IF;
    IF employee_ids IS NULL OR array_position(employee_ids, NULL) IS NOT NULL
       OR EXISTS (SELECT FROM unnest(employee_ids) AS one (id) WHERE one.id < 1) THEN
        RAISE EXCEPTION 'employee_ids are ids of crm.employees.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'employee_ids';
    END IF;
    INSERT INTO realtime.permission_changes (employee_ids)
    VALUES (CASE WHEN cardinality(permissions_changed.employee_ids) > 0
                 THEN permissions_changed.employee_ids END);
END
$$;

COMMENT ON FUNCTION realtime.permissions_changed IS
    'Say in your own transaction that these employees (none: all) have other permissions, another '
    'name or are no longer active. Errors: RT004 a bad argument.';

REVOKE ALL ON FUNCTION realtime.permissions_changed FROM PUBLIC;
