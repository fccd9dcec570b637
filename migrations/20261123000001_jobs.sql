-- Jobs and everything that hangs on them. Amounts of money are pico-dollars (10^-12 dollars).

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    name text,
    labels jsonb NOT NULL,
    state text NOT NULL CHECK (
        state IN ('queued', 'running', 'pausing', 'paused', 'cancelling', 'cancelled', 'succeeded', 'failed')
    ),
    stop_reason text,
    -- Why a failed job failed, in words for its owner.
    detail text,
    spec jsonb NOT NULL,
    report jsonb,
    -- The summary that polling reads, kept by the transactions that end trials and steps.
    progress jsonb NOT NULL,
    spend jsonb NOT NULL,
    best_trial integer,
    -- The number of the last event. Its row lock orders the events of a job.
    last_seq bigint NOT NULL DEFAULT 0,
    -- The lease: who drives the job, as which attempt, until when. Each write of a worker
    -- names its attempt, so one that was overtaken touches no row.
    attempt integer NOT NULL DEFAULT 0,
    worker text,
    lease_expires_at timestamptz,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    CHECK ((state IN ('cancelled', 'succeeded', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((state IN ('running', 'pausing', 'cancelling')) = (lease_expires_at IS NOT NULL))
);

-- The two ways to claim a job: it waits, or its worker's lease ran out.
CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued';
CREATE INDEX jobs_leased ON jobs (lease_expires_at) WHERE state IN ('running', 'pausing', 'cancelling');

CREATE TABLE instances (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    split text NOT NULL CHECK (split IN ('tuning', 'holdout')),
    position integer NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (job_id, split, position)
);

CREATE TABLE trials (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    -- 0 is the baseline; the searcher's proposals count from 1.
    number integer NOT NULL,
    role text NOT NULL CHECK (role IN ('baseline', 'search')),
    -- Who proposed it: the baseline, a start point, the global or a local search.
    origin text NOT NULL,
    state text NOT NULL CHECK (
        state IN ('running', 'evaluated', 'pruned', 'infeasible', 'failed', 'stopped')
    ),
    configuration jsonb NOT NULL,
    settings jsonb NOT NULL,
    outcome jsonb,
    spend_usd_pico bigint NOT NULL DEFAULT 0,
    spend_tokens bigint NOT NULL DEFAULT 0,
    requests integer NOT NULL DEFAULT 0,
    responses integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (job_id, number),
    CHECK ((state = 'running') = (finished_at IS NULL)),
    CHECK ((state = 'running') = (outcome IS NULL))
);

-- A row is here before its request is sent, with its worst case: should the worker die, the
-- next one knows what may have been billed.
CREATE TABLE requests (
    job_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('search', 'baseline', 'validation', 'judge')),
    trial integer NOT NULL,
    ordinal integer NOT NULL,
    attempt integer NOT NULL,
    state text NOT NULL CHECK (state IN ('sent', 'answered', 'failed', 'lost')),
    instance integer NOT NULL,
    n integer NOT NULL,
    max_tokens integer NOT NULL,
    worst_usd_pico bigint NOT NULL,
    worst_tokens bigint NOT NULL,
    prompt_tokens bigint,
    completion_tokens bigint,
    usage_estimated boolean NOT NULL DEFAULT false,
    -- What was counted against the budget: the usage at the job's prices, or for a request
    -- that failed or was lost what may have been billed at worst.
    cost_usd_pico bigint,
    cost_tokens bigint,
    failure jsonb,
    latency_ms bigint,
    sent_at timestamptz NOT NULL,
    answered_at timestamptz,
    PRIMARY KEY (job_id, role, trial, ordinal, attempt),
    FOREIGN KEY (job_id, trial) REFERENCES trials ON DELETE CASCADE,
    CHECK ((state = 'sent') = (answered_at IS NULL)),
    CHECK ((state = 'sent') = (cost_usd_pico IS NULL)),
    CHECK ((state = 'sent') = (cost_tokens IS NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
);

CREATE INDEX requests_sent ON requests (job_id) WHERE state = 'sent';

CREATE TABLE responses (
    job_id uuid NOT NULL,
    role text NOT NULL,
    trial integer NOT NULL,
    ordinal integer NOT NULL,
    attempt integer NOT NULL,
    position integer NOT NULL,
    text text NOT NULL,
    finish_reason text NOT NULL,
    -- An estimate, by which the request's billed completion tokens are shared out.
    estimated_tokens bigint NOT NULL,
    PRIMARY KEY (job_id, role, trial, ordinal, attempt, position),
    FOREIGN KEY (job_id, role, trial, ordinal, attempt) REFERENCES requests ON DELETE CASCADE
);

CREATE TABLE events (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    seq bigint NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, seq)
);

CREATE TABLE idempotency_keys (
    key text PRIMARY KEY,
    request_hash bytea NOT NULL,
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
