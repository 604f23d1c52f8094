-- Where the corpus has vectors of the version's model, beside the version's own relation.
SELECT DISTINCT o.relation
FROM cixml.index_versions v
JOIN cixml.index_versions o ON o.corpus_id = v.corpus_id AND o.model_id = v.model_id AND o.relation <> v.relation
WHERE v.id = %(index_version_id)s AND o.released_at IS NULL
  AND to_regclass('cixml.' || quote_ident(o.relation)) IS NOT NULL
