UPDATE cixml.job_items i SET status = 'embedding', chunks_total = s.chunk_count
FROM cixml.leases l, cixml.chunk_sets s
WHERE l.batch_id = %(batch_id)s AND i.id = l.item_id AND i.id = ANY (%(item_ids)s::uuid[])
  AND s.document_version_id = i.document_version_id AND s.chunking_fp = %(chunking_fp)s AND i.finished_at IS NULL
