-- Tokens that are refused before they expire, by their claim jti.
CREATE TABLE realtime.revoked_tokens (
    token_id   text        PRIMARY KEY CHECK (length(token_id) BETWEEN 1 AND 8192),
    revoked_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX revoked_tokens_at ON realtime.revoked_tokens (revoked_at);

COMMENT ON TABLE realtime.revoked_tokens IS
    'Tokens that are refused, by jti. Whoever may write here can end a session: '
    'INSERT INTO realtime.revoked_tokens (token_id) VALUES (…). '
    'Rows older than the longest lifetime of a token are deleted.';
