-- What the scorer said of each response: observed once, since a scorer need not say the same
-- twice. One row for each response and cap, so the rows are narrow.
CREATE TABLE scores (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    -- Another job that the response was taken over from; absent where it is the job's own.
    source_job uuid,
    -- The request of that job, and the position in what it brought. No attempt: only one attempt
    -- of a request is ever answered.
    purpose text NOT NULL,
    trial integer NOT NULL,
    ordinal integer NOT NULL,
    position integer NOT NULL,
    -- The row of the data that the response was held against. A response that is taken over may
    -- answer another one of the rows with the same prompt in another trial.
    instance integer NOT NULL,
    -- The cap that the response was cut at; absent where it is whole.
    max_tokens integer,
    score double precision,
    -- Why there is no score, in words.
    failure text,
    scored_at timestamptz NOT NULL,
    -- Also what a job's scores are loaded by.
    CONSTRAINT scores_key UNIQUE NULLS NOT DISTINCT (
        job_id, source_job, purpose, trial, ordinal, position, instance, max_tokens
    ),
    CHECK ((score IS NULL) = (failure IS NOT NULL))
);
