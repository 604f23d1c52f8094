-- A ready version, or a retired one that may still serve again; asked for twice is asked for once.
UPDATE cixml.index_versions
SET activate_at = coalesce(activate_at, now()), state = 'ready', drop_after = NULL,
    state_changed_at = CASE WHEN state = 'ready' THEN state_changed_at ELSE now() END
WHERE id = %(index_version_id)s AND corpus_id = %(corpus_id)s
  AND (state = 'ready' OR (state = 'retired' AND drop_after > now())) AND cixml.hold_corpus(%(corpus_id)s)
RETURNING id
