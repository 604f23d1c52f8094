SELECT count(*) FROM {relation} v
JOIN cixml.corpora c ON c.id = v.corpus_id
WHERE c.deleted_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM cixml.receipts r WHERE r.corpus_id = c.id AND r.finished_at IS NULL)
