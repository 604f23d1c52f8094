-- What the batch still has to fetch, with what is known of the live version for a conditional request; from host to host in
-- turn, since a host is asked for few pages at a time. A retry names the version that its parent fetched: it is fetched
-- only where that one has aged away.
SELECT l.item_id, i.url, l.url_key, nextval('cixml.fetch_seq') AS fetch_seq, i.attempts,
       coalesce(extract(epoch FROM now() - i.paused_since), 0)::float8 AS paused_seconds, i.caller_id, i.kind, i.depth, j.crawl, d.id AS document_id, d.live_version_id, v.etag, v.last_modified,
       v.final_url AS validated_url, v.body_sha256
FROM cixml.leases l
JOIN cixml.job_items i ON i.id = l.item_id
JOIN cixml.jobs j ON j.id = i.job_id
LEFT JOIN cixml.documents d ON d.corpus_id = l.corpus_id AND d.url_key = l.url_key
LEFT JOIN cixml.document_versions v ON v.id = d.live_version_id
WHERE l.batch_id = %(batch_id)s AND i.finished_at IS NULL
  AND NOT EXISTS (SELECT FROM cixml.document_versions o WHERE o.id = i.document_version_id)
ORDER BY row_number() OVER (PARTITION BY i.host ORDER BY i.ordinal, i.id), i.ordinal, i.id
