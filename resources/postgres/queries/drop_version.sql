-- Give a version up that does not serve: its vectors, and chunks that are its alone, go soon.
UPDATE cixml.index_versions
SET state = 'retired', activate_at = NULL, drop_after = now(),
    state_changed_at = CASE WHEN state = 'retired' THEN state_changed_at ELSE now() END
WHERE id = %(index_version_id)s AND corpus_id = %(corpus_id)s AND fill_from IS NOT NULL
  AND (state IN ('building', 'ready') OR (state = 'retired' AND drop_after > now()))
RETURNING id
