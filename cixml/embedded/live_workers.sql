-- Run by psql as the owner: a stack is ready when somebody takes runs. A killed worker's row is older than `since`.
\set ON_ERROR_STOP on
\getenv since CIXML_SINCE
SELECT count(*) FROM cixml.workers
WHERE seen_at > greatest(now() - interval '15 seconds', to_timestamp(:'since'::float8));
