UPDATE cixml.chunk_sets SET has_lexemes = true WHERE id = ANY (%(chunk_set_ids)s::bigint[])
