-- Waits for another transaction that makes the same corpus, then does nothing.
INSERT INTO cixml.corpora (id, owner, name, partition_key, title, require_if_match, exclusions)
VALUES (%(corpus_id)s, %(caller_id)s, %(name)s, %(partition_key)s, %(title)s, %(require_if_match)s,
        %(exclusions)s)
ON CONFLICT (owner, name) WHERE deleted_at IS NULL DO NOTHING
