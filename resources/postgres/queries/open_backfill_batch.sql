-- What lacks chunks or vectors of this index version and is under no live lease for it. A caller's page never waits for it.
-- No row: the corpus was deleted.
WITH corpus AS MATERIALIZED (
    SELECT id, owner FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
), batch AS (
    INSERT INTO cixml.batches (kind, corpus_id, model_id, run_id, state, items, started_at, lease_until)
    SELECT 'backfill', id, %(model_id)s, %(run_id)s, 'running', 0, now(), now() + make_interval(secs => %(lease_seconds)s)
    FROM corpus
    RETURNING id
), leased AS (
    INSERT INTO cixml.leases (corpus_id, url_key, work, batch_id, caller_id)
    SELECT d.corpus_id, d.url_key, %(index_version_id)s::text, b.id, k.owner
    FROM corpus k
    JOIN cixml.documents d ON d.corpus_id = k.id
    CROSS JOIN batch b
    WHERE d.deleted_at IS NULL AND d.live_version_id IS NOT NULL AND (
        NOT EXISTS (SELECT 1 FROM cixml.chunk_sets s
                    WHERE s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s)
        OR EXISTS (SELECT 1 FROM cixml.chunk_sets s JOIN cixml.chunks c ON c.chunk_set_id = s.id
                   WHERE s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
                     AND NOT EXISTS (SELECT 1 FROM {relation} r
                                     WHERE r.corpus_id = c.corpus_id AND r.chunk_hash = c.chunk_hash)))
    ON CONFLICT DO NOTHING
)
SELECT id AS batch_id FROM batch
