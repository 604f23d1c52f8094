-- Which of these hashes no chunk uses that is live or may still become so; as take_stale_hashes has it.
SELECT h FROM unnest(%(hashes)s::uuid[]) h
WHERE NOT EXISTS (
    SELECT 1 FROM cixml.chunks c
    JOIN cixml.chunk_sets t ON t.id = c.chunk_set_id
    JOIN cixml.document_versions v ON v.id = t.document_version_id
    JOIN cixml.documents d ON d.id = v.document_id
    WHERE c.corpus_id = %(corpus_id)s AND c.chunk_hash = h AND d.deleted_at IS NULL
      AND (v.id = d.live_version_id OR v.fetch_seq > d.fetch_seq))
