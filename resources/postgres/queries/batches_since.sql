SELECT EXISTS (SELECT FROM cixml.batches
               WHERE corpus_id = %(corpus_id)s AND id > uuidv7(make_interval(secs => -%(seconds)s)))
