-- Locks versions that are live no more, or never were, the longest gone first: those of up to `limit` chunks, but one at
-- least. A page that waits or is under work keeps all it has: an item may need one. What a run is writing is passed by.
-- What keeps a version is asked row by row, up to the limit: as joins it took 2 s of a long backlog, so 45 ms.
WITH old AS MATERIALIZED (
    SELECT v.id, coalesce(v.live_to, v.fetched_at) AS over_at
    FROM cixml.document_versions v
    WHERE (v.live_from IS NULL OR v.live_to IS NOT NULL)
      AND coalesce(v.live_to, v.fetched_at) < now() - make_interval(days => %(days)s)
      AND (SELECT d.live_version_id IS DISTINCT FROM v.id
               AND NOT EXISTS (SELECT FROM cixml.leases l WHERE l.corpus_id = d.corpus_id AND l.url_key = d.url_key)
               AND NOT EXISTS (SELECT FROM cixml.work_queue q WHERE q.corpus_id = d.corpus_id AND q.url_key = d.url_key)
           FROM cixml.documents d WHERE d.id = v.document_id)
    ORDER BY coalesce(v.live_to, v.fetched_at)
    LIMIT %(versions)s
), sized AS (
    SELECT id, sum(chunks) OVER (ORDER BY over_at, id) - chunks AS chunks_before
    FROM (SELECT o.id, o.over_at, (SELECT coalesce(sum(s.chunk_count), 0) FROM cixml.chunk_sets s
                                   WHERE s.document_version_id = o.id) AS chunks
          FROM old o) AS counted
)
SELECT v.id FROM sized s JOIN cixml.document_versions v ON v.id = s.id
WHERE s.chunks_before < %(limit)s
FOR UPDATE OF v SKIP LOCKED
