-- Run by psql as the owner: a stack is ready when somebody takes runs.
\set ON_ERROR_STOP on
SELECT count(*) FROM cixml.workers WHERE seen_at > now() - interval '15 seconds';
