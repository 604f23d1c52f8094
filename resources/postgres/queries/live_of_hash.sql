-- Live chunks of a vector's text. OFFSET 0 keeps the order of the scan: joined freely, the planner reads the whole corpus and sorts.
SELECT k.chunk_id, d.id AS document_id, d.url, d.external_id, v.title, k.text, k.ordinal, k.start_offset, k.end_offset,
       v.id AS version_id, v.fetched_at, v.published_at, v.language, d.metadata
FROM cixml.chunks k
JOIN cixml.chunk_sets s ON s.id = k.chunk_set_id AND s.chunking_fp = %(chunking_fp)s
JOIN cixml.document_versions v ON v.id = s.document_version_id
JOIN cixml.documents d ON d.id = v.document_id AND d.live_version_id = v.id AND d.deleted_at IS NULL
WHERE k.corpus_id = %(corpus_id)s AND k.chunk_hash = e.chunk_hash
  AND (%(filter)s::jsonpath IS NULL OR jsonb_path_exists(
      cixml.document_facts(d.url, d.external_id, v.language, v.fetched_at, v.published_at, d.metadata),
      %(filter)s::jsonpath, %(values)s, true))
OFFSET 0
