SELECT i.id, i.ordinal, i.url, i.final_url, i.external_id, i.metadata, i.status, i.failed_stage, i.attempts,
       i.next_attempt_at, i.waiting_reason, i.http_status, v.etag, i.bytes, i.fetched_at, i.robots, i.change, i.chunks_total, i.chunks_added,
       i.chunks_kept, i.chunks_removed, i.document_id, i.error, i.duplicate_of, i.retried_as, i.created_at, i.started_at, i.finished_at, i.ended_version,
       i.kind, i.depth, i.parent_item_id
FROM cixml.job_items i
LEFT JOIN cixml.document_versions v ON v.id = i.document_version_id
WHERE i.job_id = %(job_id)s
  AND (%(statuses)s::text[] IS NULL OR i.status = ANY (%(statuses)s))
  AND (%(failed_stages)s::text[] IS NULL OR i.failed_stage = ANY (%(failed_stages)s))
  AND (%(codes)s::text[] IS NULL OR i.error ->> 'code' = ANY (%(codes)s))
  AND i.ordinal > %(after_ordinal)s
ORDER BY i.ordinal
LIMIT %(limit)s
