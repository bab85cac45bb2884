-- Who is logged in and who is paused, as their PBX says: a few rows for each telephone, so that
-- what agents do now is known without reading events.
CREATE TABLE realtime.agent_marks (
    source     text        NOT NULL,
    extension  text        NOT NULL,
    queue      text        NOT NULL,
    logged_in  boolean,
    login_at   timestamptz,
    paused     boolean     NOT NULL,
    reason     text,
    paused_at  timestamptz,
    version    bigint      NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, extension, queue)
) WITH (fillfactor = 70);

COMMENT ON TABLE realtime.agent_marks IS
    'What a PBX said last of one telephone in one queue; of the telephone itself where queue is ''''. '
    'A function of the events agent.login, .logoff, .paused and .unpaused.';
COMMENT ON COLUMN realtime.agent_marks.logged_in IS
    'NULL: nothing was said of it, only of pauses.';
COMMENT ON COLUMN realtime.agent_marks.login_at IS 'Since when logged_in is what it is.';
COMMENT ON COLUMN realtime.agent_marks.paused_at IS 'Since when paused is what it is.';

-- The events that one telephone's rows are folded from, the newest first.
CREATE INDEX call_events_agents ON realtime.call_events (source, extension, occurred_at DESC)
    WHERE type IN ('agent.paused', 'agent.unpaused', 'agent.login', 'agent.logoff')
      AND extension IS NOT NULL;

-- Since when somebody's telephone has been silent.
CREATE INDEX call_legs_last ON realtime.call_legs (extension, ended_at DESC)
    WHERE extension IS NOT NULL AND ended_at IS NOT NULL;
