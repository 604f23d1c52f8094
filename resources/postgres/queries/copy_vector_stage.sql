COPY stage_vectors (chunk_hash, caller_id, tokens, embedding) FROM STDIN (FORMAT BINARY)
