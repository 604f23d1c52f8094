-- One run at a time clears up after a version: another would find the slice gone and take it for the last. No row: another
-- run does it, or has done it. `is_shared` is asked anew for each slice: a model that was switched back needs its vectors.
SELECT v.relation, v.kind,
       EXISTS (SELECT 1 FROM cixml.index_versions o WHERE o.corpus_id = v.corpus_id AND o.relation = v.relation
               AND (o.state <> 'retired' OR (o.released_at IS NULL AND o.drop_after > now()))) AS is_shared
FROM cixml.index_versions v
WHERE v.id = %(index_version_id)s AND v.state = 'retired' AND v.released_at IS NULL AND coalesce(v.drop_after, now()) <= now()
FOR NO KEY UPDATE SKIP LOCKED
