-- Texts were exchanged: chunks of other versions are offsets into texts that are gone.
UPDATE cixml.index_versions
SET state = 'retired', state_changed_at = now(), drop_after = NULL, activate_at = NULL,
    error = CASE WHEN state IN ('building', 'ready') THEN %(error)s ELSE error END
WHERE corpus_id = %(corpus_id)s AND id <> ALL (%(kept)s::uuid[])
  AND fill_from IS NOT NULL AND (state IN ('building', 'ready') OR (state = 'retired' AND drop_after IS NOT NULL))
