-- A question to a judge is known by the answer that it is about: which one, at which limit of tokens,
-- the how-manieth question. Questions about held-out rows have a purpose of their own, as these rows have.
-- Questions about answers that rows bring along, on which a judge is tried, are asked before there is any
-- trial.
ALTER TABLE requests
    ADD COLUMN question jsonb,
    DROP CONSTRAINT requests_job_id_trial_fkey,
    ADD FOREIGN KEY (job_id) REFERENCES jobs ON DELETE CASCADE,
    DROP CONSTRAINT requests_purpose_check,
    ADD CONSTRAINT requests_purpose_check CHECK (
        purpose IN ('search', 'baseline', 'validation', 'judge', 'validation_judge')
    ),
    ADD CHECK ((question IS NOT NULL) = (purpose IN ('judge', 'validation_judge')));
