-- What one part of a composite said of a response, where that takes more than reading it: programs were run.
-- Absent of what the whole scorer said.
ALTER TABLE scores
    ADD COLUMN part integer,
    DROP CONSTRAINT scores_key,
    ADD CONSTRAINT scores_key UNIQUE NULLS NOT DISTINCT (
        job_id, source_job, purpose, trial, ordinal, position, instance, max_tokens, part
    );
