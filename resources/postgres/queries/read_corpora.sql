-- Corpora that the caller owns or was granted, by name: the one of `owner` and `name`, or those after a place.
SELECT c.id, c.owner, c.name, c.role, c.partition_key, c.title, c.require_if_match, c.exclusions, c.version,
       c.created_at, c.updated_at, n.*,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', v.id, 'model', m.name, 'kind', v.kind, 'state', v.state,
                   'chunking', v.chunking, 'created_at', v.created_at, 'state_changed_at', v.state_changed_at)
                   ORDER BY v.id), '[]')
        FROM cixml.index_versions v JOIN cixml.models m ON m.id = v.model_id WHERE v.corpus_id = c.id) AS index_versions,
       CASE WHEN c.role = 'owner' THEN
           (SELECT coalesce(jsonb_agg(jsonb_build_object('caller_id', g.caller_id, 'role', g.role,
                       'granted_at', g.granted_at) ORDER BY g.caller_id), '[]')
            FROM cixml.grants g WHERE g.corpus_id = c.id) END AS grants
FROM (
    SELECT c.*, CASE WHEN c.owner = cixml.caller() THEN 'owner' ELSE (
        SELECT g.role FROM cixml.grants g WHERE g.corpus_id = c.id AND g.caller_id = cixml.caller()) END AS role
    FROM cixml.corpora c
    WHERE c.id = ANY ((SELECT cixml.visible_corpora())::uuid[]) AND c.deleted_at IS NULL
      AND (%(owner)s::text IS NULL OR (c.owner = %(owner)s AND c.name = %(name)s))
      AND (%(after_name)s::text IS NULL OR (c.name, c.owner) > (%(after_name)s, %(after_owner)s))
    ORDER BY c.name, c.owner
    LIMIT %(limit)s
) c
LEFT JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
CROSS JOIN LATERAL (
    SELECT count(*) AS documents, coalesce(sum(s.chunk_count), 0)::bigint AS chunks,
           coalesce(sum(v.body_bytes), 0)::bigint AS bytes,
           min(d.checked_at) AS oldest_check_at, max(d.checked_at) AS newest_check_at
    FROM cixml.documents d
    JOIN cixml.document_versions v ON v.id = d.live_version_id
    LEFT JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = x.chunking_fp
    WHERE d.corpus_id = c.id AND d.deleted_at IS NULL
) n
ORDER BY c.name, c.owner
