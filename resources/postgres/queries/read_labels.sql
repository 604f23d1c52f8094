SELECT query, relevant FROM cixml.labels WHERE corpus_id = %(corpus_id)s ORDER BY ordinal
