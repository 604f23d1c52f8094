SELECT count(*) FROM {relation} WHERE corpus_id = %(corpus_id)s
