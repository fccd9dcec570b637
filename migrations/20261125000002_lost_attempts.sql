-- Attempts in a row whose worker was lost with nothing to show for it. A job that breaks every
-- worker that takes it is set aside by this count.
ALTER TABLE jobs ADD COLUMN lost_attempts integer NOT NULL DEFAULT 0;
