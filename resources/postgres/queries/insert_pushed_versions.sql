-- What was pushed, each as a version. It has its number from its submission: the run of an older one replaces no newer one.
INSERT INTO cixml.document_versions (id, document_id, corpus_id, fetch_seq, body_sha256, body_bytes, content_type, charset,
    title, fetched_at, item_id)
SELECT u.id, d.id, d.corpus_id, nextval('cixml.fetch_seq'), u.sha256, u.bytes, u.content_type, u.charset, u.title, now(), i.id
FROM cixml.jobs j
CROSS JOIN unnest(%(version_ids)s::uuid[], %(url_keys)s::text[], %(sha256s)s::bytea[], %(bytes)s::bigint[],
                  %(content_types)s::text[], %(charsets)s::text[], %(titles)s::text[])
     AS u (id, url_key, sha256, bytes, content_type, charset, title)
JOIN cixml.documents d ON d.corpus_id = j.corpus_id AND d.url_key = u.url_key
LEFT JOIN cixml.job_items i ON i.job_id = j.id AND i.document_version_id = u.id
WHERE j.id = %(job_id)s
