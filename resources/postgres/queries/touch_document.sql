UPDATE cixml.documents d
SET checked_at = %(checked_at)s, fetch_seq = greatest(d.fetch_seq, %(fetch_seq)s),
    metadata = d.metadata || i.metadata, external_id = coalesce(i.external_id, d.external_id)
FROM cixml.job_items i
WHERE d.id = %(document_id)s AND i.id = %(item_id)s
