-- Index versions by a model that are to serve some day: filled, or being filled, of a corpus that is there.
SELECT count(*) FROM cixml.index_versions v
JOIN cixml.models m ON m.id = v.model_id
JOIN cixml.corpora c ON c.id = v.corpus_id AND c.deleted_at IS NULL
WHERE m.fingerprint = %(fingerprint)s AND v.state IN ('building', 'ready')
