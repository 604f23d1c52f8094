-- Hashes that may have lost their last live chunk: written by flips and full checks, taken by sweeps. Insert and delete
-- only, and nothing unique: two flips of one corpus must not wait for each other's rows.
CREATE TABLE cixml.stale_hashes (
    corpus_id  uuid NOT NULL REFERENCES cixml.corpora,
    chunk_hash uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ix_stale_hashes__corpus_id_chunk_hash ON cixml.stale_hashes (corpus_id, chunk_hash);
ALTER TABLE cixml.stale_hashes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.stale_hashes TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.stale_hashes TO cixml_pipeline USING (true);
GRANT SELECT, INSERT, DELETE ON cixml.stale_hashes TO cixml_pipeline;
