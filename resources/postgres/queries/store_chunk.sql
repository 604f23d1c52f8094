INSERT INTO cixml.chunks (chunk_set_id, ordinal, corpus_id, chunk_id, chunk_hash, start_offset, end_offset, token_count,
    heading, text)
VALUES (%(chunk_set_id)s, %(ordinal)s, %(corpus_id)s, %(chunk_id)s, %(chunk_hash)s, %(start)s, %(end)s, %(token_count)s,
    %(heading)s, %(text)s)
