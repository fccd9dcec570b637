-- What a scorer said of a response, whole or cut at one cap, against one row: observed once, and
-- read from here whenever the job is taken up again.
CREATE TABLE scores (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    -- The job that bought the response; this one, or the one that it was taken over from.
    source_job uuid NOT NULL,
    purpose text NOT NULL,
    trial integer NOT NULL,
    ordinal integer NOT NULL,
    position integer NOT NULL,
    -- The cap that it was cut to; 0 where it was scored whole.
    max_tokens integer NOT NULL,
    instance integer NOT NULL,
    score double precision,
    -- Why there is none.
    failure text,
    PRIMARY KEY (job_id, source_job, purpose, trial, ordinal, position, max_tokens),
    CHECK ((score IS NULL) <> (failure IS NULL))
);
