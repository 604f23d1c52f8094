-- What an installation must have, as any login sees it. `has_lifeline`: some process holds lifeline's lock.
SELECT current_setting('server_version_num')::int / 10000 AS server_version,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector_version,
       (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS sees_everything,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::int AS max_connections,
       EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
               AND ((classid::bigint << 32) | objid::bigint) = %(lifeline_key)s) AS has_lifeline
