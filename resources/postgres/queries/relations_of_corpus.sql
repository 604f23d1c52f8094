-- Where the corpus has vectors, also what may serve again. The relation of a promotion under way is nobody's yet.
SELECT DISTINCT relation FROM cixml.index_versions
WHERE corpus_id = %(corpus_id)s AND (released_at IS NULL OR state <> 'retired') AND NOT (state = 'building' AND fill_from IS NULL)
  AND to_regclass('cixml.' || quote_ident(relation)) IS NOT NULL
