-- Which answer a response gives, as its scorer compares answers: the first 64 bits of a hash. Absent
-- where it gives none, where the scorer knows no answers, and in what was scored before.
ALTER TABLE scores ADD COLUMN answer bigint;
