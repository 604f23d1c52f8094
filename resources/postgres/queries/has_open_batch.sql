SELECT EXISTS (SELECT FROM cixml.batches WHERE corpus_id = %(corpus_id)s AND finished_at IS NULL)
