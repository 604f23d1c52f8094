SELECT b.id AS batch_id, b.kind, b.corpus_id, c.name AS corpus_name, c.owner,
       v.id AS index_version_id, v.chunking, v.chunking_fp, m.id AS model_id, m.name AS model, v.relation, m.is_enabled
FROM cixml.batches b
JOIN cixml.corpora c ON c.id = b.corpus_id
JOIN cixml.index_versions v ON v.corpus_id = b.corpus_id AND v.state = 'serving'
JOIN cixml.models m ON m.id = v.model_id
WHERE b.id = %(batch_id)s
