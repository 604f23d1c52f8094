UPDATE cixml.index_versions
SET state = 'serving', state_changed_at = now(), activate_at = NULL, is_forced = false, drop_after = NULL, held_until = NULL, error = NULL
WHERE id = %(index_version_id)s
