-- A version that is worse and not forced waits: nobody's request is in the way of a better one.
UPDATE cixml.index_versions
SET comparison = %(comparison)s,
    activate_at = CASE WHEN %(is_good)s OR is_forced THEN activate_at END,
    error = CASE WHEN %(is_good)s OR is_forced THEN NULL ELSE %(error)s::jsonb END
WHERE id = %(index_version_id)s AND state = 'ready'
