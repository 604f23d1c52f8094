-- A batch without documents, under the lease of the whole corpus for this version: one build at a time.
WITH corpus AS MATERIALIZED (
    SELECT id, owner FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
), version AS (
    SELECT v.*, c.owner FROM corpus c JOIN cixml.index_versions v ON v.corpus_id = c.id
    WHERE v.state = 'building' AND v.fill_from IS NULL
      AND NOT EXISTS (SELECT 1 FROM cixml.leases b WHERE b.corpus_id = v.corpus_id AND b.work = v.id::text)
), batch AS (
    INSERT INTO cixml.batches (kind, corpus_id, model_id, run_id, state, items, started_at, lease_until)
    SELECT 'backfill', corpus_id, model_id, %(run_id)s, 'running', 0, now(), now() + make_interval(secs => %(lease_seconds)s)
    FROM version
    RETURNING id
), leased AS (
    INSERT INTO cixml.leases (corpus_id, url_key, work, batch_id, caller_id)
    SELECT v.corpus_id, '', v.id::text, b.id, v.owner FROM version v, batch b
)
SELECT b.id AS batch_id, v.id AS index_version_id FROM batch b, version v
