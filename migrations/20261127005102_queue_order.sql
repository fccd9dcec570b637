-- The order in which jobs that wait are taken: by priority, then fairly between owners, then by age;
-- and which version of Frugal has decided a job's steps, since no other can live through them again.

ALTER TABLE jobs
    -- From -9 to 9; higher ones go first.
    ADD COLUMN priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN -9 AND 9),
    -- When it may be begun, as its client said.
    ADD COLUMN not_before timestamptz,
    -- Whether that moment was still to come when somebody looked last: workers wake such jobs.
    ADD COLUMN dormant boolean NOT NULL DEFAULT false,
    -- The owner in a form that has an order and a fixed size. Never negative.
    ADD COLUMN owner_key bigint NOT NULL
        GENERATED ALWAYS AS (hashtextextended(coalesce(owner, ''), 0) & 9223372036854775807) STORED,
    -- Its place in the line: older jobs have lower ones. Only the index of that line has it, so that nobody
    -- goes through all jobs by age to find those that wait.
    ADD COLUMN place bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- The version of the decisions (`frugal_tuning::DECISIONS`) that the job is driven by, from its
    -- first claim on; 0 where it was never claimed.
    ADD COLUMN decided_by integer NOT NULL DEFAULT 0,
    -- The one before it, where a worker of another version has taken the job over.
    ADD COLUMN decided_before integer,
    ADD CHECK (NOT dormant OR not_before IS NOT NULL);

UPDATE jobs SET decided_by = 1 WHERE attempt > 0;

DROP INDEX jobs_queued;
DROP INDEX jobs_leased;

-- Jobs that wait, as they are taken.
CREATE INDEX jobs_waiting ON jobs (decided_by, priority DESC, owner_key, place)
    WHERE state = 'queued' AND NOT dormant;
-- Jobs whose moment is still to come.
CREATE INDEX jobs_dormant ON jobs (not_before) WHERE state = 'queued' AND dormant;
-- Jobs that somebody drives, or was to drive.
CREATE INDEX jobs_leased ON jobs (decided_by, lease_expires_at)
    WHERE state IN ('running', 'pausing', 'cancelling');
-- The same by owner, to count them. They are told by their lease and not by their state, so that nobody
-- counts by the index above, which looks as good while few jobs run and reads all of them for each owner.
CREATE INDEX jobs_leased_by_owner ON jobs (owner_key) WHERE lease_expires_at IS NOT NULL;
