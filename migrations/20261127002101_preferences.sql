-- How highly the job's selector thinks of a response, from 0 to 1. Absent where the job has no selector, and
-- in what was scored before.
ALTER TABLE scores ADD COLUMN preference double precision;
