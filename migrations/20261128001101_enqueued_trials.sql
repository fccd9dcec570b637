-- Configurations that owners put into jobs while these go on.

CREATE TABLE enqueued_trials (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    -- The how-manieth change of the job it is: those of the terms are numbered with them.
    number integer NOT NULL,
    -- The point of the search space.
    configuration jsonb NOT NULL,
    -- How many decisions the search had made before; nothing until the worker that drives the job has
    -- come to it. A replay takes the configuration in at this place.
    place bigint,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, number)
);
