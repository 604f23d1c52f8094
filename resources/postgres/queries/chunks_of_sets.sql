SELECT chunk_set_id, ordinal, token_count, text FROM cixml.chunks WHERE chunk_set_id = ANY (%(chunk_set_ids)s::bigint[])
