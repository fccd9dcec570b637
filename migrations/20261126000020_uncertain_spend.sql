-- What attempts that brought nothing may have been billed with at worst, apart from what was billed.
-- Failed requests had it as their cost: nothing was known to be billed of these.
ALTER TABLE requests
    ADD COLUMN uncertain_usd_pico bigint NOT NULL DEFAULT 0,
    ADD COLUMN uncertain_tokens bigint NOT NULL DEFAULT 0;
UPDATE requests SET
    uncertain_usd_pico = cost_usd_pico, uncertain_tokens = cost_tokens,
    cost_usd_pico = 0, cost_tokens = 0
WHERE state = 'failed';
