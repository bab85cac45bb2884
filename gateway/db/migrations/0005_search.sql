-- Full-text search with PostgreSQL's core alone: what is searched for, and one index that serves it.

CREATE FUNCTION realtime.search_words(said text) RETURNS text
-- plpgsql, because SQL would be inlined: its cost would be lost, and with it the planner's respect
-- for reading a table without the index; and every INSERT would plan it anew. Not parallel safe:
-- starting workers takes 4 ms, more than most searches.
LANGUAGE plpgsql IMMUTABLE STRICT COST 1000
AS $$ BEGIN RETURN btrim(regexp_replace(regexp_replace(regexp_replace(
    -- Letters that are no accented ones of others; and apostrophes, which have no counterpart and
    -- go: п'ять, п’ять and пять are one word.
    translate(
        -- lower() knows Cyrillic, except in a database whose locale is C. Decided when this is
        -- planned: looking 50 letters up for each letter takes 30 µs for a message.
        CASE WHEN lower('Ж') = 'ж' THEN lower(normalize(said, NFKD))
             ELSE translate(lower(normalize(said, NFKD)),
                            'АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЄІЈЉЊЋЏЂЅҐŁØĐ',
                            'абвгдежзийклмнопрстуфхцчшщъыьэюяєіјљњћџђѕґłøđ')
        END,
        'ґłøđς''’ʼ‘`', 'гlodσ'),
    '[\u0300-\u036f]+', '', 'g'),
    -- Whatever is no letter and no digit; as ranges, because [[:punct:]] depends on the locale.
    '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u0589\u05be\u060c\u061b'
    '\u061f\u06d4\u0964\u2000-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\ufe00-\uff0f\ufffc'
    '\ufffd\U0001f000-\U0001faff\U000e0000-\U000e0fff]+', ' ', 'g'),
    '(\S{64})\S+', '\1', 'g'));
END $$;

COMMENT ON FUNCTION realtime.search_words IS
    'Its words as they are compared: small letters without accents (й is и, ї is і, ґ is г), '
    'one space between them, of each the first 64 letters.';

CREATE FUNCTION realtime.search_key(
    body text, conversation_id bigint, sender_id bigint, attachments jsonb, created_at timestamptz
) RETURNS tsvector
LANGUAGE sql IMMUTABLE
RETURN (
    realtime.search_words(left(body, 8000))
    || ' #' || conversation_id::text
    || coalesce(' =' || sender_id::text, '')
    || CASE WHEN attachments <> '[]' THEN ' +' ELSE '' END
    || ' @d' || ((created_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01')::text
    || ' @w' || (((created_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01') / 8)::text
    || ' @m' || (((created_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01') / 64)::text
    || ' @y' || (((created_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01') / 512)::text
)::tsvector;

COMMENT ON FUNCTION realtime.search_key IS
    'What a message is found by: its words; and, marked so that they can be no words, where it is '
    '(#17), whose (=3), whether it has attachments (+), and its day, counted from 1970 (@d), '
    'with 8 (@w), 64 (@m) and 512 (@y) days as one. A GIN index over several columns would need an '
    'extension; as one set of keys, the rarest of them leads, and the others only check.';

-- fastupdate would keep the newest messages in a heap that every search reads from end to end.
CREATE INDEX messages_search ON realtime.messages
    USING gin (realtime.search_key(body, conversation_id, sender_id, attachments, created_at))
    WITH (fastupdate = off)
    WHERE state < 2 AND kind = 'text';

-- Of words in a set the planner knows nothing useful, and an ANALYZE would fold 30,000 messages.
ALTER INDEX realtime.messages_search ALTER COLUMN 1 SET STATISTICS 0;
