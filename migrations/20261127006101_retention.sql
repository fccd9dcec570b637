-- What is gone of jobs that have ended, and what retention looks for.
ALTER TABLE jobs
    -- The number of the last event that is gone; those after it are there.
    ADD COLUMN events_pruned_through bigint NOT NULL DEFAULT 0,
    -- Since when responses are gone or on their way out: none of them is used any more.
    ADD COLUMN responses_pruned_at timestamptz,
    -- Whether rows may be left.
    ADD COLUMN has_events boolean NOT NULL DEFAULT true,
    ADD COLUMN has_responses boolean NOT NULL DEFAULT true;

CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_finished_with_responses ON jobs (finished_at)
    WHERE has_responses AND finished_at IS NOT NULL;
CREATE INDEX jobs_finished_with_events ON jobs (finished_at)
    WHERE has_events AND finished_at IS NOT NULL;
-- What goes with a job.
CREATE INDEX idempotency_keys_job ON idempotency_keys (job_id);
