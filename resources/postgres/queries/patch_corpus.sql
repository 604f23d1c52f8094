-- No row when the settings are not those of `version` any more.
UPDATE cixml.corpora
SET title = %(title)s, exclusions = coalesce(%(exclusions)s, exclusions),
    require_if_match = coalesce(%(require_if_match)s, require_if_match), version = version + 1, updated_at = now()
WHERE id = %(corpus_id)s AND deleted_at IS NULL AND version = %(version)s
RETURNING version
