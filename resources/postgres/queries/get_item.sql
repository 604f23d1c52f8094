-- The caller may not see the corpus any more: its items stay.
SELECT i.id, i.ordinal, i.url, i.final_url, i.external_id, i.metadata, i.status, i.failed_stage, i.attempts,
       i.next_attempt_at, i.waiting_reason, i.http_status, v.etag, i.bytes, i.fetched_at, i.robots, i.change, i.chunks_total, i.chunks_added,
       i.chunks_kept, i.chunks_removed, i.document_id, i.error, i.duplicate_of, i.retried_as, i.created_at, i.started_at, i.finished_at, i.ended_version,
       i.kind, i.depth, i.parent_item_id, i.job_id, coalesce(CASE WHEN c.owner = i.caller_id THEN c.name ELSE c.owner || ':' || c.name END,
                          cixml.corpus_of_own_job(i.job_id)) AS corpus
FROM cixml.job_items i
LEFT JOIN cixml.document_versions v ON v.id = i.document_version_id
LEFT JOIN cixml.corpora c ON c.id = i.corpus_id
WHERE i.id = %(item_id)s
