UPDATE cixml.index_versions SET held_until = now() + make_interval(secs => %(seconds)s)
WHERE corpus_id = %(corpus_id)s AND state = 'serving'
