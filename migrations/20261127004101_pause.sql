-- Jobs that are paused. Their clock stands still meanwhile.
ALTER TABLE jobs
    -- When the client asked for the pause that lasts; nothing where the job is not paused or pausing.
    ADD COLUMN paused_at timestamptz,
    -- How long the job was paused since its first start, pauses that are over taken together.
    ADD COLUMN paused_ms bigint NOT NULL DEFAULT 0;
