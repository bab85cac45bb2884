-- When a revoked token would have expired: then its row is of no use.
ALTER TABLE realtime.revoked_tokens ADD COLUMN expires_at timestamptz;

COMMENT ON COLUMN realtime.revoked_tokens.expires_at IS
    'The claim exp of the token, if it is known: a day later the row is deleted. Otherwise it stays.';
COMMENT ON TABLE realtime.revoked_tokens IS
    'Tokens that are refused, by jti. Whoever may write here can end a session: '
    'INSERT INTO realtime.revoked_tokens (token_id, expires_at) VALUES (…).';
