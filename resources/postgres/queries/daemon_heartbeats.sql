SELECT daemon_type, extract(epoch FROM (now() AT TIME ZONE 'utc') - timestamp)::float8 AS seconds FROM daemon_heartbeats
