CREATE TEMPORARY TABLE IF NOT EXISTS stage_vectors
    (chunk_hash uuid NOT NULL, caller_id text NOT NULL, tokens int NOT NULL, embedding halfvec NOT NULL)
    ON COMMIT DELETE ROWS
