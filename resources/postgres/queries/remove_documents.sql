-- Removes a slice of what a receipt deletes: documents with their versions, chunk sets and chunks, up to `limit` chunks but one
-- version at least. A document goes with its last version; while an item that was submitted before is under work it stays
-- without them, since that item must not make it anew.
WITH doc AS MATERIALIZED (
    SELECT d.id, o.is_held
    FROM (SELECT * FROM cixml.documents WHERE corpus_id = %(whole_corpus)s
          UNION ALL SELECT * FROM cixml.documents WHERE receipt_id = %(receipt_id)s) d
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM cixml.leases l JOIN cixml.job_items i ON i.id = l.item_id
                       WHERE l.corpus_id = d.corpus_id AND l.url_key = d.deleted_url_key AND l.work = 'ingest'
                         AND i.created_at < d.deleted_at) AS is_held
    ) o
    WHERE NOT o.is_held OR EXISTS (SELECT FROM cixml.document_versions v WHERE v.document_id = d.id)
    LIMIT %(documents)s
), version AS MATERIALIZED (
    SELECT v.id, v.document_id
    FROM (SELECT v.id, sum(n.chunks) OVER (ORDER BY v.id) - n.chunks AS chunks_before
          FROM doc
          JOIN cixml.document_versions v ON v.document_id = doc.id
          CROSS JOIN LATERAL (SELECT coalesce(sum(s.chunk_count), 0) AS chunks FROM cixml.chunk_sets s
                              WHERE s.document_version_id = v.id) n) sized
    JOIN cixml.document_versions v ON v.id = sized.id
    WHERE sized.chunks_before < %(limit)s
    ORDER BY v.id FOR UPDATE OF v -- before their chunks, as retention does it
), sets AS MATERIALIZED (
    SELECT s.id FROM version v JOIN cixml.chunk_sets s ON s.document_version_id = v.id
), without_chunks AS (
    DELETE FROM cixml.chunks k USING sets s WHERE k.chunk_set_id = s.id RETURNING k.chunk_hash
), without_lexemes AS (
    DELETE FROM cixml.chunk_lexemes k USING sets s WHERE k.chunk_set_id = s.id RETURNING 1
), without_sets AS (
    DELETE FROM cixml.chunk_sets k USING sets s WHERE k.id = s.id
), without_versions AS (
    DELETE FROM cixml.document_versions k USING version v WHERE k.id = v.id RETURNING k.body_sha256
), without_documents AS (
    DELETE FROM cixml.documents d USING doc
    WHERE d.id = doc.id AND NOT doc.is_held
      AND (SELECT count(*) FROM cixml.document_versions v WHERE v.document_id = d.id)
          = (SELECT count(*) FROM version v WHERE v.document_id = d.id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM without_documents) AS documents,
       (SELECT count(*) FROM without_versions) AS versions,
       (SELECT count(*) FROM sets) AS chunk_sets,
       (SELECT count(*) FROM without_chunks) AS chunks,
       (SELECT count(*) FROM without_lexemes) AS lexemes,
       ARRAY(SELECT DISTINCT chunk_hash FROM without_chunks WHERE %(whole_corpus)s::uuid IS NULL) AS hashes,
       ARRAY(SELECT DISTINCT body_sha256 FROM without_versions) AS bodies
