-- Documents that are pushed for the first time, in the order of their keys: of two submissions with the same ones, one
-- waits for the other. Known ones are left alone: their run updates them.
INSERT INTO cixml.documents (corpus_id, url_key, host, external_id, metadata, checked_at)
SELECT j.corpus_id, u.url_key, '', u.external_id, u.metadata, now()
FROM cixml.jobs j,
     unnest(%(url_keys)s::text[], %(external_ids)s::text[], %(metadata)s::jsonb[]) AS u (url_key, external_id, metadata)
WHERE j.id = %(job_id)s
ORDER BY u.url_key
ON CONFLICT DO NOTHING
