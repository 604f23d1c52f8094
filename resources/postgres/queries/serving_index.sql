SELECT v.id, v.corpus_id, v.chunking_fp, v.relation, v.kind, v.ef_search, m.name AS model, m.fingerprint, m.dimension
FROM cixml.corpora c
JOIN cixml.index_versions v ON v.corpus_id = c.id AND v.state = 'serving'
JOIN cixml.models m ON m.id = v.model_id
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
