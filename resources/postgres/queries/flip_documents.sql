-- Makes versions live whose every chunk has its vector; an older fetch than the live one stays behind.
-- The corpus's levels move in the same transaction; hashes that a document no longer has are left to the sweep.
WITH candidate AS (
    SELECT w.item_id, w.document_id, w.document_version_id, v.fetch_seq, s.id AS chunk_set_id
    FROM cixml.batch_documents w
    JOIN cixml.documents d ON d.id = w.document_id AND d.deleted_at IS NULL
    JOIN cixml.document_versions v ON v.id = w.document_version_id
    JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = %(chunking_fp)s
    WHERE w.batch_id = %(batch_id)s AND w.item_id = ANY (%(item_ids)s::uuid[])
      AND NOT EXISTS (
          SELECT 1 FROM cixml.chunks c
          WHERE c.chunk_set_id = s.id AND NOT EXISTS (
              SELECT 1 FROM {relation} r WHERE r.corpus_id = c.corpus_id AND r.chunk_hash = c.chunk_hash))
    FOR KEY SHARE OF v -- no row where retention is just removing it
), before AS (
    SELECT k.item_id, d.live_version_id, s.id AS chunk_set_id
    FROM candidate k
    JOIN cixml.documents d ON d.id = k.document_id
    LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
), flipped AS (
    UPDATE cixml.documents d
    SET live_version_id = k.document_version_id, fetch_seq = k.fetch_seq,
        metadata = d.metadata || i.metadata, external_id = coalesce(i.external_id, d.external_id)
    FROM candidate k JOIN cixml.job_items i ON i.id = k.item_id
    WHERE d.id = k.document_id AND d.fetch_seq < k.fetch_seq
    RETURNING k.item_id, k.document_version_id
), lived AS (
    UPDATE cixml.document_versions v SET live_from = now() FROM flipped f WHERE v.id = f.document_version_id
), retired AS (
    UPDATE cixml.document_versions v SET live_to = now()
    FROM before b JOIN flipped f ON f.item_id = b.item_id WHERE v.id = b.live_version_id
), delta AS (
    SELECT d.corpus_id, count(*) FILTER (WHERE o.id IS NULL) AS documents,
           sum(n.chunk_count - coalesce(o.chunk_count, 0)) AS chunks,
           sum(n.token_count - coalesce(o.token_count, 0)) AS tokens,
           sum(cixml.content_digest(d.url_key, v.text_sha256)
               - CASE WHEN o.id IS NULL THEN 0 ELSE cixml.content_digest(d.url_key, w.text_sha256) END) AS digest
    FROM flipped f
    JOIN candidate k ON k.item_id = f.item_id
    JOIN before b ON b.item_id = f.item_id
    JOIN cixml.documents d ON d.id = k.document_id
    JOIN cixml.document_versions v ON v.id = k.document_version_id
    JOIN cixml.chunk_sets n ON n.id = k.chunk_set_id
    LEFT JOIN cixml.chunk_sets o ON o.id = b.chunk_set_id
    LEFT JOIN cixml.document_versions w ON w.id = o.document_version_id
    GROUP BY d.corpus_id
), levelled AS (
    INSERT INTO cixml.corpus_levels AS l (corpus_id, chunking_fp, documents, chunks, tokens, digest)
    SELECT corpus_id, %(chunking_fp)s, documents, chunks, tokens, digest FROM delta
    ON CONFLICT (corpus_id, chunking_fp) DO UPDATE
    SET documents = l.documents + excluded.documents, chunks = l.chunks + excluded.chunks,
        tokens = l.tokens + excluded.tokens, digest = l.digest + excluded.digest, changed_at = now()
), stale AS (
    INSERT INTO cixml.stale_hashes (corpus_id, chunk_hash)
    SELECT DISTINCT o.corpus_id, o.chunk_hash
    FROM flipped f
    JOIN candidate k ON k.item_id = f.item_id
    JOIN before b ON b.item_id = f.item_id
    JOIN cixml.chunks o ON o.chunk_set_id = b.chunk_set_id
    WHERE NOT EXISTS (
        SELECT 1 FROM cixml.chunks c WHERE c.chunk_set_id = k.chunk_set_id AND c.chunk_hash = o.chunk_hash)
)
SELECT k.item_id,
       (SELECT count(*) FROM cixml.chunks c WHERE c.chunk_set_id = k.chunk_set_id AND NOT EXISTS (
           SELECT 1 FROM cixml.chunks o WHERE o.chunk_set_id = b.chunk_set_id AND o.chunk_hash = c.chunk_hash)) AS added,
       (SELECT count(*) FROM cixml.chunks c WHERE c.chunk_set_id = k.chunk_set_id AND EXISTS (
           SELECT 1 FROM cixml.chunks o WHERE o.chunk_set_id = b.chunk_set_id AND o.chunk_hash = c.chunk_hash)) AS kept,
       (SELECT count(*) FROM cixml.chunks o WHERE o.chunk_set_id = b.chunk_set_id AND NOT EXISTS (
           SELECT 1 FROM cixml.chunks c WHERE c.chunk_set_id = k.chunk_set_id AND c.chunk_hash = o.chunk_hash)) AS removed
FROM candidate k JOIN before b ON b.item_id = k.item_id
