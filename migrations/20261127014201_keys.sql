-- Who may use the API, and what was changed through it.

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    -- What people call it: one name for each key that is not revoked.
    name text NOT NULL,
    -- To whom belongs what is made with the key. Several keys may have one owner.
    owner text NOT NULL,
    -- SHA-256 of the key, which is stored nowhere itself: it is 256 random bits, so there is nothing to guess.
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    -- Its first characters, by which people tell keys apart.
    hint text NOT NULL,
    scopes text[] NOT NULL CHECK (
        cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'write', 'metrics', 'admin']
    ),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    -- Written once a minute at most.
    last_used_at timestamptz,
    revoked_at timestamptz
);

CREATE UNIQUE INDEX api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;

-- For browsers, whose EventSource sends no headers: what follows events for a short time in a key's stead.
CREATE TABLE stream_tokens (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    key_id uuid NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

CREATE INDEX stream_tokens_expiry ON stream_tokens (expires_at);
CREATE INDEX stream_tokens_key ON stream_tokens (key_id);

-- Who changed what when. No references: what it tells of may be gone.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    -- Nothing where nobody has to say who they are, or somebody at the database did it.
    key_id uuid,
    key_name text,
    owner text,
    -- The name of the operation, as the API's description has it.
    action text NOT NULL,
    -- The path of what was changed.
    subject text NOT NULL,
    -- The address of the client, where one is known.
    address text,
    request_id text
);

CREATE INDEX audit_at ON audit (at);

-- Keys of requests are their owner's, and are forgotten in time.
ALTER TABLE idempotency_keys ADD COLUMN owner text;
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_pkey;
ALTER TABLE idempotency_keys ADD CONSTRAINT idempotency_keys_owner_key UNIQUE NULLS NOT DISTINCT (owner, key);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- An owner's jobs, newest first, and those of them that have not ended, to count them.
CREATE INDEX jobs_by_owner ON jobs (owner, id DESC);
CREATE INDEX jobs_open_by_owner ON jobs (owner_key) WHERE finished_at IS NULL;
