-- How many documents of a corpus pass the filter. What lacks the value that a condition asks for does not.
SELECT count(*) FROM cixml.documents d
LEFT JOIN cixml.document_versions v ON v.id = d.live_version_id
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
  AND (%(url_prefix)s::text IS NULL OR starts_with(d.url, %(url_prefix)s))
  AND (%(external_ids)s::text[] IS NULL OR d.external_id = ANY (%(external_ids)s))
  AND (%(language)s::text IS NULL OR v.language = %(language)s)
  AND (%(fetched_before)s::timestamptz IS NULL OR v.fetched_at < %(fetched_before)s)
  AND (%(metadata)s::jsonb IS NULL OR d.metadata @> %(metadata)s)
