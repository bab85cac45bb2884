-- Accounts of programs of the CRM, which call REST with a key of their own.
CREATE TABLE realtime.service_accounts (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    scopes     text[]      NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 100),
    rate_per_s float8      NOT NULL CHECK (rate_per_s > 0 AND rate_per_s <= 100000),
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

COMMENT ON TABLE realtime.service_accounts IS
    'Programs that call REST with a key of their own, and what they may do. A name is never used '
    'again, so that the audit names one program.';
COMMENT ON COLUMN realtime.service_accounts.version IS
    'Grows with every change of the account and its keys: workers then read them again at once.';

CREATE TABLE realtime.service_keys (
    key_id       text        PRIMARY KEY CHECK (key_id ~ '^[0-9A-Za-z]{10}$'),
    account_id   bigint      NOT NULL REFERENCES realtime.service_accounts ON DELETE CASCADE,
    key_hash     bytea       NOT NULL CHECK (octet_length(key_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
);

CREATE INDEX service_keys_account ON realtime.service_keys (account_id);

COMMENT ON TABLE realtime.service_keys IS
    'The keys of service accounts, several of one while it changes them. A key is shown once.';
COMMENT ON COLUMN realtime.service_keys.key_hash IS
    'SHA-256 of the whole key. Nobody guesses 256 random bits: a slow hash would protect nothing.';
COMMENT ON COLUMN realtime.service_keys.last_used_at IS
    'Accurate to a minute, so that a request writes nothing.';
