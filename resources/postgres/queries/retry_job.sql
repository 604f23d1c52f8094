-- A child job of the ended items asked for. An item whose stored bytes are there still begins after them, else it begins
-- anew. No row: the caller has no such job in a living corpus that it may write to. A row without a job_id: nothing of it is to be retried.
WITH parent AS (
    SELECT j.id, j.caller_id, j.corpus_id, j.crawl, x.chunking_fp
    FROM cixml.jobs j
    JOIN cixml.corpora c ON c.id = j.corpus_id AND c.deleted_at IS NULL
        AND c.id = ANY ((SELECT cixml.corpora_as('writer', 'owner'))::uuid[])
    JOIN cixml.index_versions x ON x.corpus_id = j.corpus_id AND x.state = 'serving'
    WHERE j.id = %(parent_id)s AND j.caller_id = %(caller_id)s AND cixml.hold_corpus(j.corpus_id)
), chosen AS MATERIALIZED (
    SELECT uuidv7() AS new_id, row_number() OVER (ORDER BY i.ordinal) - 1 AS place, i.*,
           v.id AS version_id, s.chunk_count,
           CASE WHEN v.id IS NULL THEN 'scraping' WHEN s.id IS NULL THEN 'chunking' ELSE 'embedding' END AS stage
    FROM parent p
    JOIN cixml.job_items i ON i.job_id = p.id
    LEFT JOIN cixml.document_versions v ON v.id = i.document_version_id AND EXISTS (
        SELECT FROM cixml.documents d WHERE d.id = v.document_id AND d.deleted_at IS NULL)
    LEFT JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = p.chunking_fp
    WHERE i.finished_at IS NOT NULL AND i.status = ANY (%(statuses)s)
      AND (%(stages)s::text[] IS NULL OR i.failed_stage = ANY (%(stages)s))
      AND (%(item_ids)s::uuid[] IS NULL OR i.id = ANY (%(item_ids)s))
), job AS (
    INSERT INTO cixml.jobs (id, caller_id, corpus_id, parent_job_id, items_total, items_open, traceparent, crawl,
                            pages_found)
    SELECT %(job_id)s, p.caller_id, p.corpus_id, p.id, n.items, n.items, %(traceparent)s, p.crawl, n.pages
    FROM parent p, (SELECT count(*) AS items, count(depth) FILTER (WHERE kind = 'page') AS pages FROM chosen) n
    WHERE n.items > 0
    RETURNING id
), items AS (
    INSERT INTO cixml.job_items (id, job_id, caller_id, corpus_id, ordinal, url, url_key, host, external_id, metadata,
                                 start_stage, document_id, document_version_id, final_url, change, chunks_total,
                                 kind, depth, parent_item_id, family)
    SELECT k.new_id, j.id, k.caller_id, k.corpus_id, k.place, k.url, k.url_key, k.host, k.external_id, k.metadata, k.stage,
           CASE WHEN k.stage <> 'scraping' THEN k.document_id END, k.version_id,
           CASE WHEN k.stage <> 'scraping' THEN k.final_url END, CASE WHEN k.stage <> 'scraping' THEN k.change END,
           coalesce(k.chunk_count, 0), k.kind, k.depth, k.parent_item_id, k.family
    FROM chosen k, job j
    ORDER BY k.place
    RETURNING id, caller_id, corpus_id, url_key, host, start_stage
), marked AS (
    UPDATE cixml.job_items i SET retried_as = k.new_id FROM chosen k, job WHERE i.id = k.id
), queued AS (
    INSERT INTO cixml.work_queue (item_id, caller_id, corpus_id, url_key, host, stage)
    SELECT id, caller_id, corpus_id, url_key, host, start_stage FROM items
)
SELECT (SELECT id FROM job) AS job_id, (SELECT coalesce(array_agg(id), '{}') FROM chosen) AS retried FROM parent
