DELETE FROM {relation} WHERE corpus_id = %(corpus_id)s AND chunk_hash = ANY (%(hashes)s::uuid[])
