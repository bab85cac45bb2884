-- Lists of calls begin where few are: at somebody's telephone, a number, a queue, a disposition or
-- a kind of call. Each of these needs to know when its call began, for that is the lists' order.

DROP INDEX realtime.call_legs_extension, realtime.call_annotations_disposition;

ALTER TABLE realtime.call_legs ADD COLUMN source text, ADD COLUMN started_at timestamptz;
ALTER TABLE realtime.queue_stints ADD COLUMN started_at timestamptz;
ALTER TABLE realtime.call_annotations ADD COLUMN shown_with uuid, ADD COLUMN started_at timestamptz;

UPDATE realtime.call_legs AS l SET source = c.source, started_at = c.started_at
  FROM realtime.call_sessions AS c WHERE c.id = l.call_id;
UPDATE realtime.queue_stints AS s SET started_at = c.started_at
  FROM realtime.call_sessions AS c WHERE c.id = s.call_id;

-- What a call is shown with: itself, or what it became a part of.
CREATE FUNCTION realtime.shown_with(call_id uuid) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    WITH RECURSIVE way AS (
        SELECT id, merged_into, 1 AS steps FROM realtime.call_sessions WHERE id = $1
         UNION ALL
        SELECT c.id, c.merged_into, way.steps + 1
          FROM way JOIN realtime.call_sessions AS c ON c.id = way.merged_into
         WHERE way.steps < 20
    )
    SELECT id FROM way ORDER BY steps DESC LIMIT 1
$$;

UPDATE realtime.call_annotations AS a SET shown_with = realtime.shown_with(call_id);
UPDATE realtime.call_annotations AS a SET started_at = c.started_at
  FROM realtime.call_sessions AS c WHERE c.id = a.shown_with;

ALTER TABLE realtime.call_legs
    ALTER COLUMN source SET NOT NULL, ALTER COLUMN started_at SET NOT NULL;
ALTER TABLE realtime.queue_stints ALTER COLUMN started_at SET NOT NULL;
ALTER TABLE realtime.call_annotations
    ALTER COLUMN shown_with SET NOT NULL, ALTER COLUMN started_at SET NOT NULL;

COMMENT ON COLUMN realtime.call_legs.source IS 'Its call''s: which PBX.';
COMMENT ON COLUMN realtime.call_legs.started_at IS
    'When its call began: what lists are ordered by, in one index with the telephone.';
COMMENT ON COLUMN realtime.queue_stints.started_at IS 'When its call began.';
COMMENT ON COLUMN realtime.call_annotations.shown_with IS
    'The call that this belongs to now: call_id, or what that was merged into.';
COMMENT ON COLUMN realtime.call_annotations.started_at IS 'When the call shown_with began.';

-- Who inserts a row without these, as ingest did before, need not know them.
CREATE FUNCTION realtime.leg_of_its_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT c.source, c.started_at INTO NEW.source, NEW.started_at
      FROM realtime.call_sessions AS c WHERE c.id = NEW.call_id;
    RETURN NEW;
END
$$;

CREATE FUNCTION realtime.stint_of_its_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT c.started_at INTO NEW.started_at
      FROM realtime.call_sessions AS c WHERE c.id = NEW.call_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER call_legs_begun BEFORE INSERT ON realtime.call_legs
    FOR EACH ROW WHEN (NEW.source IS NULL OR NEW.started_at IS NULL)
    EXECUTE FUNCTION realtime.leg_of_its_call();
CREATE TRIGGER queue_stints_begun BEFORE INSERT ON realtime.queue_stints
    FOR EACH ROW WHEN (NEW.started_at IS NULL)
    EXECUTE FUNCTION realtime.stint_of_its_call();

-- FOR SHARE: whoever changes the call at this moment is waited for, or waits and finds the row.
CREATE FUNCTION realtime.annotation_of_its_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM realtime.call_sessions WHERE id = NEW.call_id FOR SHARE;
    NEW.shown_with := realtime.shown_with(NEW.call_id);
    SELECT c.started_at INTO NEW.started_at
      FROM realtime.call_sessions AS c WHERE c.id = NEW.shown_with FOR SHARE;
    RETURN NEW;
END
$$;

CREATE TRIGGER call_annotations_begun BEFORE INSERT ON realtime.call_annotations
    FOR EACH ROW EXECUTE FUNCTION realtime.annotation_of_its_call();

-- A late event may tell of an earlier beginning, or that two calls are one: both are rare, and
-- every other update of a call pays for three comparisons.
CREATE FUNCTION realtime.call_began_otherwise() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    shown uuid := realtime.shown_with(NEW.id);
BEGIN
    IF (NEW.source, NEW.started_at) <> (OLD.source, OLD.started_at) THEN
        UPDATE realtime.call_legs SET source = NEW.source, started_at = NEW.started_at
         WHERE call_id = NEW.id;
        UPDATE realtime.queue_stints SET started_at = NEW.started_at WHERE call_id = NEW.id;
    END IF;
    UPDATE realtime.call_annotations AS a SET shown_with = c.id, started_at = c.started_at
      FROM realtime.call_sessions AS c
     WHERE a.shown_with = NEW.id AND c.id = shown;
    RETURN NULL;
END
$$;

CREATE TRIGGER call_began_otherwise AFTER UPDATE ON realtime.call_sessions
    FOR EACH ROW WHEN (OLD.source <> NEW.source OR OLD.started_at <> NEW.started_at
                       OR OLD.merged_into IS DISTINCT FROM NEW.merged_into)
    EXECUTE FUNCTION realtime.call_began_otherwise();

CREATE INDEX call_legs_extension
    ON realtime.call_legs (extension, source, started_at DESC, call_id DESC)
    WHERE extension IS NOT NULL;

CREATE INDEX queue_stints_newest
    ON realtime.queue_stints (queue, started_at DESC, call_id DESC);

CREATE INDEX call_annotations_disposition
    ON realtime.call_annotations (disposition, started_at DESC, shown_with DESC)
    WHERE disposition IS NOT NULL;
CREATE INDEX call_annotations_shown_with ON realtime.call_annotations (shown_with);

-- Only calls that are over have an outcome: an entry a call, made once.
CREATE INDEX call_sessions_kind
    ON realtime.call_sessions (direction, outcome, started_at DESC, id DESC)
    WHERE outcome IS NOT NULL;

-- Extensions, anonymous callers, and what is no number: everybody else has number_e164.
CREATE INDEX call_sessions_number_raw
    ON realtime.call_sessions (number_raw, started_at DESC, id DESC)
    WHERE number_raw IS NOT NULL AND number_e164 IS NULL;

-- Who counts agents of a week reads their legs without their calls; legs lie in the order of time.
CREATE INDEX call_legs_when ON realtime.call_legs USING brin (started_at)
    WITH (autosummarize = on);
