DELETE FROM cixml.labels WHERE corpus_id = %(corpus_id)s
