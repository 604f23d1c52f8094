SELECT query FROM cixml.labels WHERE corpus_id = %(corpus_id)s ORDER BY ordinal LIMIT %(limit)s
