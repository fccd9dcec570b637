-- What workers share of an endpoint (model '') or of one of its models: who holds which part of its
-- limits until when, and what was sent within the last minute. `crates/admission` reads and writes
-- the state; it is soft, and a row that is missing is as good as an empty one. One row is written
-- about once a second by each worker process with requests there, never for each request.
CREATE TABLE admission_scopes (
    endpoint text NOT NULL,
    model text NOT NULL,
    state jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (endpoint, model)
);
