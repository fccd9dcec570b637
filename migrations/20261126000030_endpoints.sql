-- What was found of a model of an endpoint, by whoever called it. Each worker process adds up what it
-- sees and writes one statement for all models, every few seconds at most: no row is written for each
-- request.
CREATE TABLE endpoint_models (
    endpoint text NOT NULL,
    model text NOT NULL,
    -- What it does not take, or takes under another name, as refusals told; `{}` is nothing of that.
    abilities jsonb NOT NULL DEFAULT '{}',
    abilities_found_at timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    -- What it last said or did when a request failed: one line, without keys.
    last_failure text,
    -- Requests by what came of them. Refused are those whose configuration or prompt it does not take.
    answered bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    -- Of those answered, how many whose usage it did not report, or not as it can have been.
    usage_estimated bigint NOT NULL DEFAULT 0,
    -- How long the answering attempts took.
    latency_ms_total bigint NOT NULL DEFAULT 0,
    last_latency_ms bigint,
    PRIMARY KEY (endpoint, model)
);

-- By the model's position, the most responses that one request yielded when the job was begun, `null`
-- for no limit. What is found out later holds for later jobs: a job that is taken up again is to ask as
-- it did before.
ALTER TABLE jobs ADD COLUMN most_per_request jsonb;
