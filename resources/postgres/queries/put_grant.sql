INSERT INTO cixml.grants (corpus_id, caller_id, role) VALUES (%(corpus_id)s, %(grantee)s, %(role)s)
ON CONFLICT (caller_id, corpus_id) DO UPDATE SET role = excluded.role, granted_at = now()
