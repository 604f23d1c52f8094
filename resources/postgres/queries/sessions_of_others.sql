-- Who is connected to a database beside this session, as any login may see it.
SELECT coalesce(nullif(application_name, ''), usename) FROM pg_stat_activity
WHERE datname = %(database)s AND usename IS NOT NULL AND pid <> pg_backend_pid()
