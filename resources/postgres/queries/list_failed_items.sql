-- The caller may not see the corpus any more: its items stay.
SELECT i.id, i.ordinal, i.url, i.final_url, i.external_id, i.metadata, i.status, i.failed_stage, i.attempts,
       i.next_attempt_at, i.waiting_reason, i.http_status, v.etag, i.bytes, i.fetched_at, i.robots, i.change, i.chunks_total, i.chunks_added,
       i.chunks_kept, i.chunks_removed, i.document_id, i.error, i.duplicate_of, i.retried_as, i.created_at, i.started_at, i.finished_at, i.ended_version,
       i.kind, i.depth, i.parent_item_id, i.job_id, coalesce(CASE WHEN c.owner = i.caller_id THEN c.name ELSE c.owner || ':' || c.name END,
                          cixml.corpus_of_own_job(i.job_id)) AS corpus
FROM cixml.job_items i
LEFT JOIN cixml.document_versions v ON v.id = i.document_version_id
LEFT JOIN cixml.corpora c ON c.id = i.corpus_id
WHERE i.failed_stage IS NOT NULL AND i.status = 'failed' AND i.retried_as IS NULL
  AND (%(owner)s::text IS NULL OR i.corpus_id IN (
      SELECT id FROM cixml.corpora WHERE owner = %(owner)s AND name = %(name)s AND deleted_at IS NULL))
  AND (%(failed_stages)s::text[] IS NULL OR i.failed_stage = ANY (%(failed_stages)s))
  AND (%(codes)s::text[] IS NULL OR i.error ->> 'code' = ANY (%(codes)s))
  AND (%(created_after)s::timestamptz IS NULL OR i.created_at > %(created_after)s)
  AND (%(before_id)s::uuid IS NULL OR i.id < %(before_id)s)
ORDER BY i.id DESC
LIMIT %(limit)s
