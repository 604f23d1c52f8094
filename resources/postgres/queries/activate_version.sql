-- A ready version, or a retired one that may still serve again; asked for twice is asked for once. One that was found worse
-- than what serves has to be forced; one whose model is disabled could not be filled. The time is that of this row: the
-- statement may have waited for whoever ends its grace.
UPDATE cixml.index_versions
SET activate_at = coalesce(activate_at, now()), is_forced = %(force)s, state = 'ready', drop_after = NULL, traceparent = %(traceparent)s,
    state_changed_at = CASE WHEN state = 'ready' THEN state_changed_at ELSE now() END
WHERE id = %(index_version_id)s AND corpus_id = %(corpus_id)s
  AND (state = 'ready' OR (state = 'retired' AND drop_after > clock_timestamp())) AND (%(force)s OR comparison ->> 'is_good' IS DISTINCT FROM 'false')
  AND EXISTS (SELECT FROM cixml.models m WHERE m.id = model_id AND m.is_enabled)
  AND cixml.hold_corpus(%(corpus_id)s)
RETURNING id
