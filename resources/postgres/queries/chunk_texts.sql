SELECT DISTINCT ON (chunk_hash) chunk_hash, text
FROM cixml.chunks WHERE corpus_id = %(corpus_id)s AND chunk_hash = ANY (%(hashes)s::uuid[])
ORDER BY chunk_hash
