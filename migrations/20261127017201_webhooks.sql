-- Addresses of owners that their jobs' events are posted to, and what was posted where.

CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    -- To whom it belongs; it hears of the jobs of nobody else.
    owner text,
    url text NOT NULL,
    -- What messages are signed with. It is told when the webhook is made, and not again.
    secret text NOT NULL,
    -- The types of events that it hears of, beside those that end jobs.
    types text[] NOT NULL,
    -- It hears of jobs with all of these labels.
    labels jsonb NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX webhooks_by_owner ON webhooks (owner, id DESC);

-- One event on its way to one webhook.
CREATE TABLE deliveries (
    webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    -- The event's position among all events. No reference: the job may be gone before the message.
    position bigint NOT NULL,
    job_id uuid NOT NULL,
    type text NOT NULL,
    -- The bytes that are signed.
    body text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    -- When it is sent next. While somebody sends it, until when nobody else does.
    next_attempt_at timestamptz,
    -- What came of the last attempt.
    status integer,
    fault text,
    created_at timestamptz NOT NULL,
    attempted_at timestamptz,
    PRIMARY KEY (webhook_id, position),
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL))
);

CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_age ON deliveries (created_at);

-- Up to which position of events deliveries are made of them. One row.
CREATE TABLE deliveries_made (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    through bigint NOT NULL
);
INSERT INTO deliveries_made (through) SELECT coalesce(max(position), 0) FROM events;
