-- The version of the scorers' rules that a score was made by (0 before this was kept), so that a job takes over
-- scores with the responses of another job only where its own scorer would say the same.
ALTER TABLE scores ADD COLUMN version integer NOT NULL DEFAULT 0;
