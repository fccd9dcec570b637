-- Every time that a worker took a job, and how that ended. The number is the job's `attempt`.
CREATE TABLE attempts (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    number integer NOT NULL,
    worker text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    ending text CHECK (ending IN (
        'succeeded', 'failed', 'cancelled', 'paused', 'given_back', 'broken_off', 'panicked', 'lost'
    )),
    -- Why, in words, where there is more to say.
    detail text,
    PRIMARY KEY (job_id, number),
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);

-- The attempts under way. Of those before them nothing is known.
INSERT INTO attempts (job_id, number, worker, started_at)
SELECT id, attempt, worker, now() FROM jobs
WHERE lease_expires_at IS NOT NULL AND worker IS NOT NULL;
