DELETE FROM cixml.workers
WHERE id IN (SELECT id FROM cixml.workers WHERE seen_at < now() - make_interval(days => %(days)s) LIMIT %(limit)s)
  AND seen_at < now() - make_interval(days => %(days)s)
