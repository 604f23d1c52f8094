DELETE FROM {relation}
WHERE ctid = ANY (ARRAY(SELECT ctid FROM {relation} WHERE corpus_id = %(corpus_id)s LIMIT %(limit)s))
