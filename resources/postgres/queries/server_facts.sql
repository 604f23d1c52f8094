SELECT current_user::text AS owner, current_setting('server_version_num')::int AS server_version,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector_version
