-- Answers to requests with an Idempotency-Key, written in the transaction of what the request made: a repetition gets the
-- same answer. Nothing here has a foreign key: a row is kept for a day and refers to nothing.
CREATE TABLE cixml.idempotency_keys (
    caller_id   text NOT NULL,
    method      text NOT NULL,
    path        text NOT NULL,
    key         text NOT NULL,
    body_sha256 bytea NOT NULL,
    status      smallint NOT NULL,
    location    text,
    answer      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller_id, method, path, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ix_idempotency_keys__created_at ON cixml.idempotency_keys (created_at);
ALTER TABLE cixml.idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.idempotency_keys TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.idempotency_keys TO cixml_pipeline USING (true);
CREATE POLICY own_rows ON cixml.idempotency_keys TO cixml_api USING (caller_id = (SELECT cixml.caller()));
GRANT SELECT, INSERT ON cixml.idempotency_keys TO cixml_api;
GRANT SELECT, DELETE ON cixml.idempotency_keys TO cixml_pipeline;
