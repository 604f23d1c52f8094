SELECT documents, chunks, tokens, digest, findings,
       extract(epoch FROM now() - checked_at)::float8 AS checked_seconds_ago, check_seconds
FROM cixml.corpus_levels WHERE corpus_id = %(corpus_id)s AND chunking_fp = %(chunking_fp)s
