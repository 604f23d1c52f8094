-- The bytes once per content, the document, its new version, and the item on its way to chunking. An item that was
-- cancelled meanwhile stays as it is, and one whose document was deleted after it was submitted: nothing is stored for them.
WITH document AS (
    INSERT INTO cixml.documents (corpus_id, url_key, url, host, external_id, metadata, checked_at)
    SELECT i.corpus_id, i.url_key, i.url, i.host, i.external_id, i.metadata, %(fetched_at)s
    FROM cixml.job_items i
    WHERE i.id = %(item_id)s AND i.finished_at IS NULL
      AND NOT EXISTS (SELECT FROM cixml.documents g WHERE g.corpus_id = i.corpus_id AND g.deleted_url_key = i.url_key
                      AND g.deleted_at > i.created_at)
    ON CONFLICT (corpus_id, url_key) DO UPDATE SET checked_at = excluded.checked_at
    RETURNING id, corpus_id, live_version_id
), body AS (
    INSERT INTO cixml.page_bodies (sha256, body) SELECT %(sha256)s, %(body)s FROM document ON CONFLICT DO NOTHING
), version AS (
    INSERT INTO cixml.document_versions (document_id, corpus_id, fetch_seq, body_sha256, body_bytes, final_url,
        http_status, content_type, charset, etag, last_modified, fetched_at, robots, item_id, batch_id)
    SELECT id, corpus_id, %(fetch_seq)s, %(sha256)s, %(bytes)s, %(final_url)s, %(http_status)s, %(content_type)s,
        %(charset)s, %(etag)s, %(last_modified)s, %(fetched_at)s, %(robots)s, %(item_id)s,
        (SELECT i.batch_id FROM cixml.job_items i WHERE i.id = %(item_id)s)
    FROM document
    RETURNING id
)
UPDATE cixml.job_items i
SET document_id = d.id, document_version_id = v.id, status = 'chunking', final_url = %(final_url)s,
    http_status = %(http_status)s, bytes = %(bytes)s, fetched_at = %(fetched_at)s, robots = %(robots)s,
    change = CASE WHEN d.live_version_id IS NULL THEN 'new' ELSE 'changed' END
FROM document d, version v WHERE i.id = %(item_id)s AND i.finished_at IS NULL
