DELETE FROM cixml.hosts
WHERE host IN (SELECT host FROM cixml.hosts WHERE not_before < now() - make_interval(days => %(days)s) LIMIT %(limit)s)
  AND not_before < now() - make_interval(days => %(days)s)
