-- Rows that are posted once, to be named by many jobs. A job copies those that it takes, so a dataset
-- may be deleted at any time.
CREATE TABLE datasets (
    id uuid PRIMARY KEY,
    -- As of jobs: nothing until clients say who they are.
    owner text,
    name text NOT NULL,
    -- Of the rows in their canonical form, in order.
    sha256 text NOT NULL,
    rows integer NOT NULL,
    -- The length of that form, a line for each row.
    bytes bigint NOT NULL,
    -- The fields that rows have: an array of name and number of rows.
    columns jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (owner, name)
);

CREATE TABLE dataset_rows (
    dataset_id uuid NOT NULL REFERENCES datasets ON DELETE CASCADE,
    position integer NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (dataset_id, position)
);

-- The datasets that a job took its rows from. No references: they may be gone.
ALTER TABLE jobs ADD COLUMN dataset_ids uuid[] NOT NULL DEFAULT '{}';
CREATE INDEX jobs_datasets ON jobs USING gin (dataset_ids);
