-- Chunk sets that nothing but the retired version is cut by. Their texts may have no other place: their vectors are stale.
WITH gone AS (
    SELECT v.corpus_id, v.chunking_fp FROM cixml.index_versions v
    WHERE v.id = %(index_version_id)s AND NOT EXISTS (
        SELECT FROM cixml.index_versions o
        WHERE o.corpus_id = v.corpus_id AND o.chunking_fp = v.chunking_fp AND o.id <> v.id AND (o.released_at IS NULL OR o.state <> 'retired'))
), sets AS MATERIALIZED (
    SELECT s.id FROM gone g
    JOIN cixml.chunk_sets s ON s.corpus_id = g.corpus_id AND s.chunking_fp = g.chunking_fp
    LIMIT %(limit)s
), without_chunks AS (
    DELETE FROM cixml.chunks k USING sets s WHERE k.chunk_set_id = s.id RETURNING k.corpus_id, k.chunk_hash
), stale AS (
    INSERT INTO cixml.stale_hashes (corpus_id, chunk_hash) SELECT DISTINCT corpus_id, chunk_hash FROM without_chunks
)
DELETE FROM cixml.chunk_sets k USING sets s WHERE k.id = s.id
