-- One order over the events of all jobs, for those who follow all of an owner's. Numbers are drawn while a
-- transaction goes on, so a higher one may be there before a lower one: a writer says, by a lock of its
-- transaction, above which number it draws, and readers go up to the lowest of these (events::append).
CREATE SEQUENCE events_position;

ALTER TABLE events ADD COLUMN position bigint;

-- Those of a job stay in their order, whatever the clocks of workers said.
UPDATE events SET position = ordered.position
FROM (
    SELECT job_id, seq, row_number() OVER (ORDER BY moment, job_id, seq) AS position
    FROM (
        SELECT job_id, seq, max(created_at) OVER (PARTITION BY job_id ORDER BY seq) AS moment
        FROM events
    ) AS timed
) AS ordered
WHERE events.job_id = ordered.job_id AND events.seq = ordered.seq;

SELECT setval('events_position', coalesce((SELECT max(position) FROM events), 0) + 1, false);

ALTER TABLE events
    ALTER COLUMN position SET DEFAULT nextval('events_position'),
    ALTER COLUMN position SET NOT NULL;
ALTER SEQUENCE events_position OWNED BY events.position;

CREATE UNIQUE INDEX events_by_position ON events (position);

-- The position of the last event of a job that is gone.
ALTER TABLE jobs ADD COLUMN events_pruned_position bigint NOT NULL DEFAULT 0;
CREATE INDEX jobs_by_pruned_position ON jobs (events_pruned_position) WHERE events_pruned_position > 0;
