-- What a response adds to the sums of a metric of the whole corpus: three counts (in common with the
-- reference, of the response, of the reference), or the ten of BLEU. Absent where the scorer counts nothing,
-- and in what was scored before.
ALTER TABLE scores ADD COLUMN counts integer[];
