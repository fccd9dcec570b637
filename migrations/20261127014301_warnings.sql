-- What is probably a mistake in a job though it was taken, as its client was told: it is shown with the job.
ALTER TABLE jobs ADD COLUMN warnings jsonb NOT NULL DEFAULT '[]';

-- Lists may be narrowed by labels.
CREATE INDEX jobs_labels ON jobs USING gin (labels jsonb_path_ops);
