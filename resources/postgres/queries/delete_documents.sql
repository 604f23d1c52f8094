-- Tombstones, with the corpus's levels and the receipt. The caller holds the corpus's lock alone: nothing goes live meanwhile.
-- The times of the tombstones are of after the lock: what was submitted before is of the deleted document.
WITH chosen AS MATERIALIZED (
    SELECT d.id, d.url_key, d.live_version_id
    FROM cixml.documents d
    LEFT JOIN cixml.document_versions v ON v.id = d.live_version_id
    WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
      AND (%(document_id)s::uuid IS NULL OR d.id = %(document_id)s)
      AND (%(url_prefix)s::text IS NULL OR starts_with(d.url, %(url_prefix)s))
      AND (%(external_ids)s::text[] IS NULL OR d.external_id = ANY (%(external_ids)s))
      AND (%(language)s::text IS NULL OR v.language = %(language)s)
      AND (%(fetched_before)s::timestamptz IS NULL OR v.fetched_at < %(fetched_before)s)
      AND (%(metadata)s::jsonb IS NULL OR d.metadata @> %(metadata)s)
), receipt AS (
    INSERT INTO cixml.receipts (caller_id, corpus_id, corpus, kind, traceparent)
    SELECT cixml.caller(), %(corpus_id)s, %(address)s, %(kind)s, %(traceparent)s
    WHERE (%(document_id)s::uuid IS NULL OR EXISTS (SELECT FROM chosen)) AND cixml.hold_corpus(%(corpus_id)s)
    RETURNING *
), buried AS (
    UPDATE cixml.documents d
    SET deleted_at = clock_timestamp(), receipt_id = r.id, live_version_id = NULL,
        deleted_url_key = d.url_key, url_key = 'deleted:' || d.id
    FROM chosen k, receipt r WHERE d.id = k.id
), ended AS (
    UPDATE cixml.document_versions v SET live_to = now() FROM chosen k WHERE v.id = k.live_version_id
), delta AS (
    SELECT s.chunking_fp, count(*) AS documents, sum(s.chunk_count) AS chunks, sum(s.token_count) AS tokens,
           sum(cixml.content_digest(k.url_key, v.text_sha256)) AS digest
    FROM chosen k
    JOIN cixml.document_versions v ON v.id = k.live_version_id
    JOIN cixml.chunk_sets s ON s.document_version_id = v.id
    GROUP BY s.chunking_fp
), levelled AS (
    UPDATE cixml.corpus_levels l
    SET documents = l.documents - x.documents, chunks = l.chunks - x.chunks, tokens = l.tokens - x.tokens,
        digest = l.digest - x.digest, changed_at = now()
    FROM delta x WHERE l.corpus_id = %(corpus_id)s AND l.chunking_fp = x.chunking_fp
)
SELECT id, kind, corpus, status, removed, waits_for, requested_at, finished_at, traceparent FROM receipt
