-- A chunk by its public id, as it is live or, where it is no more, as it was last, with all that made it. The same page, place and
-- text have the same id in every version. An item of another caller stays that caller's: policies hide it.
SELECT k.chunk_id, k.ordinal, k.start_offset, k.end_offset, k.token_count, k.heading, k.chunk_hash, k.text,
       d.id AS document_id, d.url, d.external_id, d.live_version_id IS NOT DISTINCT FROM v.id AS is_live, c.id AS corpus_id,
       CASE WHEN c.owner = (SELECT cixml.caller()) THEN c.name ELSE c.owner || ':' || c.name END AS corpus, c.partition_key,
       v.id AS version_id, encode(v.body_sha256, 'hex') AS body_sha256, v.body_bytes, v.final_url, v.http_status, v.content_type,
       v.charset, v.etag, v.last_modified, v.fetched_at, v.live_from, v.live_to, v.robots, v.extractor, v.coverage, v.language,
       encode(v.text_sha256, 'hex') AS text_sha256, i.id AS item_id, i.job_id, f.run_id AS fetch_run_id,
       s.chunking_fp, s.stored_at AS chunked_at, b.run_id AS chunk_run_id, x.chunking,
       x.id AS index_version_id, x.kind AS index_kind, x.state AS index_state, x.created_at AS index_created_at, x.state_changed_at AS serving_since,
       x.relation,
       m.name AS model, m.revision, m.dimension, m.fingerprint
FROM cixml.chunks k
JOIN cixml.chunk_sets s ON s.id = k.chunk_set_id
JOIN cixml.document_versions v ON v.id = s.document_version_id
JOIN cixml.documents d ON d.id = v.document_id AND d.deleted_at IS NULL
JOIN cixml.corpora c ON c.id = k.corpus_id AND c.deleted_at IS NULL
LEFT JOIN cixml.job_items i ON i.id = v.item_id
LEFT JOIN cixml.batches f ON f.id = v.batch_id
LEFT JOIN cixml.batches b ON b.id = s.batch_id
LEFT JOIN cixml.index_versions x ON x.corpus_id = k.corpus_id AND x.chunking_fp = s.chunking_fp AND x.state = 'serving'
LEFT JOIN cixml.models m ON m.id = x.model_id
WHERE k.chunk_id = %(chunk_id)s
ORDER BY is_live DESC, x.id IS NOT NULL DESC, v.fetch_seq DESC
LIMIT 1
