INSERT INTO cixml.models (name, fingerprint, revision, dimension, max_tokens, relation, is_enabled)
VALUES (%(name)s, %(fingerprint)s, %(revision)s, %(dimension)s, %(max_tokens)s, %(relation)s, %(is_enabled)s)
ON CONFLICT (fingerprint) DO UPDATE SET is_enabled = excluded.is_enabled
