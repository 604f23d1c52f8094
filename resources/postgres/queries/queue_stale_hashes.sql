-- Vectors that no chunk uses, whatever left them behind (a page that failed, a fetch that came too late).
WITH used AS MATERIALIZED (
    SELECT c.chunk_hash FROM cixml.documents d
    JOIN cixml.document_versions v ON v.document_id = d.id AND (v.id = d.live_version_id OR v.fetch_seq > d.fetch_seq)
    JOIN cixml.chunk_sets t ON t.document_version_id = v.id
    JOIN cixml.chunks c ON c.chunk_set_id = t.id
    WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
    UNION ALL
    SELECT chunk_hash FROM cixml.stale_hashes WHERE corpus_id = %(corpus_id)s
)
INSERT INTO cixml.stale_hashes (corpus_id, chunk_hash)
SELECT r.corpus_id, r.chunk_hash FROM {relation} r
WHERE r.corpus_id = %(corpus_id)s AND NOT EXISTS (SELECT 1 FROM used u WHERE u.chunk_hash = r.chunk_hash)
