-- Whether the corpus is held and pages of it, claimed before, are still under work.
SELECT EXISTS (SELECT FROM cixml.index_versions v
               WHERE v.corpus_id = %(corpus_id)s AND v.state = 'serving' AND v.held_until > now())
   AND EXISTS (SELECT FROM cixml.leases l WHERE l.corpus_id = %(corpus_id)s AND l.work = 'ingest')
