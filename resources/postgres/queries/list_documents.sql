-- Documents of a corpus, oldest first, each with the version that is live. What never was live (yet) is `pending`.
SELECT d.id, d.url, d.external_id, d.metadata, v.title, v.language, v.content_type, v.body_bytes AS bytes,
       coalesce(s.chunk_count, 0) AS chunk_count, v.published_at, v.fetched_at, v.live_from AS changed_at, d.checked_at, d.live_version_id
FROM cixml.corpora c
JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
JOIN cixml.documents d ON d.corpus_id = c.id
LEFT JOIN cixml.document_versions v ON v.id = d.live_version_id
LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = x.chunking_fp
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
  AND d.deleted_at IS NULL
  AND CASE WHEN d.live_version_id IS NULL THEN 'pending' ELSE 'live' END = ANY (%(statuses)s)
  AND (%(url_key)s::text IS NULL OR d.url_key = %(url_key)s)
  AND (%(external_id)s::text IS NULL OR d.external_id = %(external_id)s)
  AND (%(languages)s::text[] IS NULL OR v.language = ANY (%(languages)s))
  AND (%(changed_after)s::timestamptz IS NULL OR v.live_from > %(changed_after)s)
  AND (%(after_id)s::uuid IS NULL OR d.id > %(after_id)s)
ORDER BY d.id
LIMIT %(limit)s
