-- Changes of jobs by their owners, and jobs that are continued after they have ended.

ALTER TABLE jobs
    -- How often the job's owner has changed it.
    ADD COLUMN changes integer NOT NULL DEFAULT 0,
    -- How often it was begun: once, and again each time that it was continued.
    ADD COLUMN run integer NOT NULL DEFAULT 1;

-- Changes of what the search decides by. The job's specification has what its owner wants last; what it
-- was begun with stands in the first of these. Others take no number's row.
CREATE TABLE terms_changes (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    -- The how-manieth change of the job it is.
    number integer NOT NULL,
    terms_before jsonb NOT NULL,
    terms jsonb NOT NULL,
    -- How many decisions the search had made before; nothing until the worker that drives the job has
    -- come to it. A replay takes the change in at this place.
    place bigint,
    -- Requests that could not be paid for before, and that trials went on without.
    unaffordable jsonb NOT NULL DEFAULT '[]',
    -- The job had ended and goes on with this.
    continues boolean NOT NULL,
    -- An event has told of it: at once where nobody drove the job, and else when it gets its place.
    told boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, number)
);

-- What a job had found each time it ended before it was continued.
CREATE TABLE earlier_reports (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    run integer NOT NULL,
    state text NOT NULL,
    stop_reason text,
    report jsonb,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, run)
);
