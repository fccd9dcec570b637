-- Responses shared between the jobs of one owner.

-- Whose job it is; nobody's in particular where clients do not say who they are.
ALTER TABLE jobs ADD COLUMN owner text;

-- What a request asked of which model: endpoint, model, rendered prompt and sampling settings,
-- hashed. Requests with the same key have responses of the same distribution.
ALTER TABLE requests ADD COLUMN reuse_key bytea;
CREATE INDEX requests_reuse ON requests (reuse_key) WHERE state = 'answered';

-- When the trial had looked for responses of other jobs. What it found then is what it has, ever.
ALTER TABLE trials ADD COLUMN adopted_at timestamptz;

-- Responses that a trial took over from other jobs, copied: theirs may be deleted.
CREATE TABLE adopted_responses (
    job_id uuid NOT NULL,
    trial integer NOT NULL,
    -- 0, 1, 2, … in the order in which they are used.
    position integer NOT NULL,
    instance integer NOT NULL,
    source_job uuid NOT NULL,
    source_role text NOT NULL,
    source_trial integer NOT NULL,
    source_ordinal integer NOT NULL,
    source_position integer NOT NULL,
    max_tokens integer NOT NULL,
    prompt_tokens bigint NOT NULL,
    -- The response's share of its request's billed tokens.
    completion_tokens bigint NOT NULL,
    estimated_tokens bigint NOT NULL,
    latency_ms bigint NOT NULL,
    text text NOT NULL,
    finish_reason text NOT NULL,
    PRIMARY KEY (job_id, trial, position),
    FOREIGN KEY (job_id, trial) REFERENCES trials ON DELETE CASCADE
);
