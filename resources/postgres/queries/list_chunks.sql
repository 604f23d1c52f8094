-- Chunks of a version as the serving index cuts it, in order.
SELECT k.chunk_id AS id, k.ordinal, k.text, k.start_offset AS start, k.end_offset AS "end", k.token_count, k.heading
FROM cixml.document_versions v
JOIN cixml.index_versions x ON x.corpus_id = v.corpus_id AND x.state = 'serving'
JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = x.chunking_fp
JOIN cixml.chunks k ON k.chunk_set_id = s.id
WHERE v.id = %(version_id)s AND k.ordinal > %(after_ordinal)s
ORDER BY k.ordinal
LIMIT %(limit)s
