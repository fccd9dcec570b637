-- What requests to a model used, cost and took, and what they waited for. Written with the other counts
-- of endpoint_models, in the same statement. Counts only grow.
--
-- Buckets are counts by position, not cumulative; their bounds are in crates/domain/src/histogram.rs.
ALTER TABLE endpoint_models
    ADD COLUMN latency_buckets bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[15])
        CHECK (cardinality(latency_buckets) = 15),
    -- Tokens of the prompts and of the responses of answered requests.
    ADD COLUMN input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN input_token_buckets bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[15])
        CHECK (cardinality(input_token_buckets) = 15),
    ADD COLUMN output_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN output_token_buckets bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[15])
        CHECK (cardinality(output_token_buckets) = 15),
    -- Parts of these: read from a cache, and reasoning.
    ADD COLUMN cached_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN reasoning_output_tokens bigint NOT NULL DEFAULT 0,
    -- What answered requests cost, in pico-dollars as in the jobs' ledgers, and at their worst case the
    -- attempts that brought nothing and may have been billed.
    ADD COLUMN spend_pico_usd bigint NOT NULL DEFAULT 0,
    ADD COLUMN uncertain_spend_pico_usd bigint NOT NULL DEFAULT 0;

-- How long each earlier answer took was not kept: they count in the bucket without a bound.
UPDATE endpoint_models SET latency_buckets[15] = answered;

-- What attempts waited for before they were sent.
CREATE TABLE endpoint_waits (
    endpoint text NOT NULL,
    model text NOT NULL,
    cause text NOT NULL,
    waits bigint NOT NULL DEFAULT 0,
    waited_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (endpoint, model, cause)
);
