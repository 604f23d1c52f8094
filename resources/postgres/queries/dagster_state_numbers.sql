-- Of Dagster's database. Rows of events are what the planner believes: to count them would read them.
SELECT 'cixml_dagster_runs' AS metric, s.status AS label, count(r.id)::float8 AS number
FROM unnest(ARRAY['QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING']) AS s (status)
LEFT JOIN runs r ON r.status = s.status
GROUP BY s.status
UNION ALL
SELECT 'cixml_dagster_event_rows', '', greatest(reltuples, 0) FROM pg_class WHERE oid = 'event_logs'::regclass
UNION ALL
SELECT 'cixml_heartbeat_age_seconds', lower(daemon_type),
       extract(epoch FROM clock_timestamp() AT TIME ZONE 'UTC' - "timestamp")
FROM daemon_heartbeats
