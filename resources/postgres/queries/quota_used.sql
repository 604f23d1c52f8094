-- What has no limit is not counted. `has_corpus`: the caller has the corpus of this name.
SELECT CASE WHEN %(counts_pages)s THEN cixml.open_pages() ELSE 0 END AS queued_pages,
       CASE WHEN %(counts_corpora)s THEN
           (SELECT count(*) FROM cixml.corpora c WHERE c.owner = cixml.caller() AND c.deleted_at IS NULL)
       ELSE 0 END AS corpora,
       CASE WHEN %(counts_tokens)s THEN
           (SELECT coalesce(sum(u.tokens), 0)::bigint FROM cixml.usage_ledger u
            WHERE u.caller_id = cixml.caller() AND u.created_at >= date_trunc('day', now(), 'UTC'))
       ELSE 0 END AS tokens_today,
       EXISTS (SELECT FROM cixml.corpora c
               WHERE c.owner = cixml.caller() AND c.name = %(corpus)s AND c.deleted_at IS NULL) AS has_corpus,
       extract(epoch FROM date_trunc('day', now(), 'UTC') + interval '1 day' - now())::float8 AS day_seconds
