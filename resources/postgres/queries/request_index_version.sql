-- No row: the model is not in the database as it is in models.toml, or the corpus was deleted just now. A large corpus gets a
-- relation of its own at once.
INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state, fill_from, activate,
                                  traceparent)
SELECT %(index_version_id)s, %(corpus_id)s, m.id, %(chunking)s, %(chunking_fp)s,
       CASE WHEN k.is_large THEN 'vectors_' || replace(%(index_version_id)s::text, '-', '') ELSE m.relation END,
       CASE WHEN k.is_large THEN 'hnsw' ELSE 'exact' END, 'building', %(fill_from)s, %(activate)s,
       %(traceparent)s
FROM cixml.models m
JOIN cixml.index_versions x ON x.corpus_id = %(corpus_id)s AND x.state = 'serving'
LEFT JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
CROSS JOIN LATERAL (SELECT coalesce(l.chunks * m.dimension > %(numbers)s, false) AS is_large) k
WHERE m.fingerprint = %(model_fingerprint)s AND m.is_enabled AND cixml.hold_corpus(%(corpus_id)s)
RETURNING id
