-- Jobs are of two kinds: those that search the best configuration of a space, and those that say how good
-- given configurations are.

ALTER TABLE jobs ADD COLUMN kind text NOT NULL DEFAULT 'tuning'
    CHECK (kind IN ('tuning', 'evaluation'));

-- Lists are of one kind, newest first.
CREATE INDEX jobs_of_kind ON jobs (kind, id DESC);

ALTER TABLE trials
    DROP CONSTRAINT trials_role_check,
    ADD CONSTRAINT trials_role_check CHECK (role IN ('baseline', 'search', 'evaluation'));

ALTER TABLE requests
    DROP CONSTRAINT requests_purpose_check,
    ADD CONSTRAINT requests_purpose_check CHECK (
        purpose IN ('search', 'baseline', 'validation', 'evaluation', 'judge', 'validation_judge')
    );
