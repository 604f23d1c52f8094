-- Removes versions that are locked, with their chunk sets and chunks. Between the look and the lock a run may have taken the
-- page up, or made the version live: asked again. Who comes after the lock finds no version (flip_documents.sql).
WITH chosen AS MATERIALIZED (
    SELECT v.id FROM cixml.document_versions v JOIN cixml.documents d ON d.id = v.document_id
    WHERE v.id = ANY (%(version_ids)s::uuid[]) AND d.live_version_id IS DISTINCT FROM v.id
      AND NOT EXISTS (SELECT FROM cixml.leases l WHERE l.corpus_id = d.corpus_id AND l.url_key = d.url_key)
      AND NOT EXISTS (SELECT FROM cixml.work_queue q WHERE q.corpus_id = d.corpus_id AND q.url_key = d.url_key)
), sets AS MATERIALIZED (
    SELECT s.id FROM chosen c JOIN cixml.chunk_sets s ON s.document_version_id = c.id
), without_chunks AS (
    DELETE FROM cixml.chunks k USING sets s WHERE k.chunk_set_id = s.id
), without_lexemes AS (
    DELETE FROM cixml.chunk_lexemes k USING sets s WHERE k.chunk_set_id = s.id
), without_sets AS (
    DELETE FROM cixml.chunk_sets k USING sets s WHERE k.id = s.id
), removed AS (
    DELETE FROM cixml.document_versions v USING chosen c WHERE v.id = c.id RETURNING 1
)
SELECT count(*) AS removed FROM removed
