-- The tables of a schema whose rows a backup has: the list of migrations is written anew by the restore.
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relkind = 'r' AND c.relname <> 'schema_migrations'
ORDER BY c.relname
