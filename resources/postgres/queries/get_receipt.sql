SELECT id, kind, corpus, status, removed, waits_for, requested_at, finished_at, traceparent FROM cixml.receipts
WHERE id = %(receipt_id)s
