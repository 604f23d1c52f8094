UPDATE cixml.documents
SET checked_at = %(checked_at)s, fetch_seq = greatest(fetch_seq, %(fetch_seq)s)
WHERE id = %(document_id)s
