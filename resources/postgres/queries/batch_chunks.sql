-- Every chunk of the batch's documents, and whether this model's vector of it is stored already.
SELECT w.item_id, w.document_id, w.caller_id, c.chunk_hash, c.token_count, r.chunk_hash IS NOT NULL AS is_stored
FROM cixml.batch_documents w
JOIN cixml.chunk_sets s ON s.document_version_id = w.document_version_id AND s.chunking_fp = %(chunking_fp)s
JOIN cixml.chunks c ON c.chunk_set_id = s.id
LEFT JOIN {relation} r ON r.corpus_id = c.corpus_id AND r.chunk_hash = c.chunk_hash
WHERE w.batch_id = %(batch_id)s
ORDER BY w.item_id, c.ordinal
