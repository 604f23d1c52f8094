-- Let go of what serves, for another version: it may serve again until its grace is over.
UPDATE cixml.index_versions x
SET state = 'retired', state_changed_at = now(), held_until = NULL, fill_from = coalesce(x.fill_from, 'chunks'),
    drop_after = now() + make_interval(secs => %(grace_seconds)s)
FROM cixml.index_versions v
WHERE v.id = %(index_version_id)s AND v.state = 'ready' AND x.corpus_id = v.corpus_id AND x.state = 'serving'
RETURNING x.chunking_fp, x.id
