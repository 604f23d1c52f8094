-- No row when there is no such corpus in which the caller may write.
INSERT INTO cixml.jobs (id, caller_id, corpus_id, items_total, items_open, items_good, traceparent, crawl,
                        pages_found, sitemaps_found)
SELECT %(job_id)s, %(caller_id)s, c.id, %(items_total)s, %(items_open)s, %(items_total)s - %(items_open)s, %(traceparent)s, %(crawl)s,
       %(pages)s, %(sitemaps)s
FROM cixml.corpora c
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
  AND c.id = ANY ((SELECT cixml.corpora_as('writer', 'owner'))::uuid[])
  AND cixml.hold_corpus(c.id)
RETURNING id, created_at
