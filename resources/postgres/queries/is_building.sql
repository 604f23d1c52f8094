SELECT EXISTS (
    SELECT 1 FROM cixml.index_versions v JOIN cixml.leases b ON b.corpus_id = v.corpus_id AND b.work = v.id::text
    WHERE v.corpus_id = %(corpus_id)s AND v.state = 'building' AND v.fill_from IS NULL)
