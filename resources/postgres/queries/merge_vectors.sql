-- A slice of what came since the graph was built goes into it. Under the corpus's lock alone: a writer with an older view
-- would store such a vector a second time.
WITH moved AS (
    DELETE FROM ONLY {relation} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY {relation} LIMIT %(limit)s))
    RETURNING corpus_id, chunk_hash, embedding, batch_id, stored_at
), merged AS (
    INSERT INTO {graph} (corpus_id, chunk_hash, embedding, batch_id, stored_at)
    SELECT corpus_id, chunk_hash, embedding, batch_id, stored_at FROM moved
    ON CONFLICT DO NOTHING
    RETURNING 1
), noted AS (
    UPDATE cixml.index_versions SET merged_rows = merged_rows + n FROM (SELECT count(*) AS n FROM merged) m
    WHERE id = %(index_version_id)s
)
SELECT count(*) FROM moved
