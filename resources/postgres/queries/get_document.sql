-- One document with its versions, the newest first, up to `versions`.
SELECT d.id, d.url, d.external_id, d.metadata, v.title, v.language, v.content_type, v.body_bytes AS bytes,
       coalesce(s.chunk_count, 0) AS chunk_count, v.published_at, v.fetched_at, v.live_from AS changed_at, d.checked_at, d.live_version_id,
       d.fetch_seq,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'is_live', o.id IS NOT DISTINCT FROM d.live_version_id,
                   'fetched_at', o.fetched_at, 'live_from', o.live_from, 'live_to', o.live_to, 'final_url', o.final_url,
                   'http_status', o.http_status, 'etag', o.etag, 'last_modified', o.last_modified,
                   'content_type', o.content_type, 'bytes', o.body_bytes, 'sha256', encode(o.body_sha256, 'hex'),
                   'text_sha256', encode(o.text_sha256, 'hex'), 'title', o.title, 'language', o.language,
                   'published_at', o.published_at)
                   ORDER BY o.fetch_seq DESC), '[]')
        FROM (SELECT * FROM cixml.document_versions a WHERE a.document_id = d.id
              ORDER BY a.fetch_seq DESC LIMIT %(versions)s) o) AS versions
FROM cixml.corpora c
JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
JOIN cixml.documents d ON d.corpus_id = c.id
LEFT JOIN cixml.document_versions v ON v.id = d.live_version_id
LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = x.chunking_fp
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
  AND d.id = %(document_id)s AND d.deleted_at IS NULL
