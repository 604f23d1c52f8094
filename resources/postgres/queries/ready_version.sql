UPDATE cixml.index_versions
SET state = 'ready', state_changed_at = now(), error = NULL,
    activate_at = CASE WHEN activate = 'auto' THEN coalesce(activate_at, now()) END
WHERE id = %(index_version_id)s AND state = 'building'
