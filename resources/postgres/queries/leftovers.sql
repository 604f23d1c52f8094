-- Retired versions whose vectors are still there, and whether another version of the corpus needs their relation.
SELECT v.id AS index_version_id, v.relation, v.kind,
       EXISTS (SELECT 1 FROM cixml.index_versions o WHERE o.corpus_id = v.corpus_id AND o.relation = v.relation
               AND o.state <> 'retired') AS is_shared
FROM cixml.index_versions v
WHERE v.corpus_id = %(corpus_id)s AND v.state = 'retired' AND v.released_at IS NULL
