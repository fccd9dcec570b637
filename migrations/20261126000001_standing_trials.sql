-- A trial that is drawn for in batches has an estimate before it ends.
ALTER TABLE trials DROP CONSTRAINT trials_check1;
ALTER TABLE trials ADD CONSTRAINT trials_ended_with_outcome
    CHECK (state = 'running' OR outcome IS NOT NULL);
