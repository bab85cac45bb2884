-- Numbers for the ids of a CRM that has text ids: in its views, in indexes, in the CRM's own calls.

-- A number below 2^53 stands for itself. Anything else is hashed, into 2^52 to 2^53 - 1: no number
-- that a CRM counts up to is among them. gateway/auth/subjects.py does the same; a test compares.
-- sha256, because a server in FIPS mode refuses md5. The cast from text reads backslashes, so they
-- are doubled; convert_to() would not be immutable. No STRICT: that would keep PostgreSQL from
-- inlining it, which makes it cheap, and lets an expression index serve the CRM's views.
CREATE FUNCTION realtime.id_of(kind text, external_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN external_id ~ '^[1-9][0-9]{0,15}$'
         AND (length(external_id) < 16 OR external_id COLLATE "C" <= '9007199254740991')
    THEN external_id::bigint
    ELSE 4503599627370496 | ('x' || substr(encode(sha256(replace(
             kind || ':' || external_id, '\', '\\')::bytea), 'hex'), 1, 13))::bit(52)::bigint
END;

COMMENT ON FUNCTION realtime.id_of(text, text) IS
    'The number of an id of the CRM: itself if it is a number below 2^53, otherwise a hash. Kinds: '
    'employee, customer, team; of work, the kind of the work.';
