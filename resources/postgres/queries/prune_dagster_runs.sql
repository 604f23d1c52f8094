-- In Dagster's database: of `limit` runs after `after`, removes the old finished ones with all their rows. `after` is
-- null when none of them was old.
-- A run stays that an asset's state is read from: the latest materialisation, observation or attempt of a partition (its
-- latest checks are of the same run), or an input of a latest materialisation, which tells whether that one is stale.
-- What a run is needed for is asked per run in a select list: the planner can't make a join over all events of it there.
WITH slice AS MATERIALIZED (
    SELECT r.id, r.run_id, r.status, r.update_timestamp, r.backfill_id
    FROM runs r WHERE r.id > %(after)s ORDER BY r.id LIMIT %(limit)s
), old AS MATERIALIZED (
    SELECT s.id, s.run_id FROM slice s
    WHERE s.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
      AND s.update_timestamp < now() AT TIME ZONE 'UTC' - make_interval(days => %(days)s)
      AND NOT EXISTS (SELECT FROM bulk_actions b
                      WHERE b.key = s.backfill_id AND b.status IN ('REQUESTED', 'CANCELING', 'FAILING'))
), asked AS MATERIALIZED (
    SELECT o.run_id,
        EXISTS (
            SELECT FROM event_logs e
            WHERE e.run_id = o.run_id AND e.asset_key IS NOT NULL
              AND e.dagster_event_type IN ('ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED', 'ASSET_OBSERVATION')
              AND e.id = CASE WHEN e.partition IS NULL
                  THEN (SELECT max(n.id) FROM event_logs n WHERE n.asset_key = e.asset_key
                            AND n.dagster_event_type = e.dagster_event_type AND n.partition IS NULL)
                  ELSE (SELECT max(n.id) FROM event_logs n WHERE n.asset_key = e.asset_key
                            AND n.dagster_event_type = e.dagster_event_type AND n.partition = e.partition) END)
        OR EXISTS (
            SELECT FROM event_logs e
            CROSS JOIN asset_keys k
            JOIN event_logs m ON m.id = (SELECT max(n.id) FROM event_logs n WHERE n.asset_key = k.asset_key
                AND n.dagster_event_type = 'ASSET_MATERIALIZATION' AND n.partition = e.partition)
            WHERE e.run_id = o.run_id AND e.asset_key IS NOT NULL
              AND e.dagster_event_type IN ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')
              AND e.id::text = m.event::jsonb #>> ARRAY[
                  'dagster_event', 'event_specific_data', 'materialization', 'tags', 'dagster/input_event_pointer/'
                      || (SELECT string_agg(part, '/') FROM json_array_elements_text(e.asset_key::json) AS part)])
        AS is_needed
    FROM old o
), chosen AS MATERIALIZED (
    SELECT run_id FROM asked WHERE NOT is_needed
), events AS (
    DELETE FROM event_logs e USING chosen c WHERE e.run_id = c.run_id RETURNING e.id, e.asset_key
), event_tags AS (
    DELETE FROM asset_event_tags t USING events e WHERE t.event_id = e.id AND e.asset_key IS NOT NULL
), checks AS (
    DELETE FROM asset_check_executions x USING chosen c
    WHERE x.run_id = c.run_id AND x.asset_key IN (SELECT asset_key FROM asset_keys)
), removed AS (
    DELETE FROM runs r USING chosen c WHERE r.run_id = c.run_id RETURNING 1
)
SELECT (SELECT count(*) FROM removed) AS removed, (SELECT max(id) FROM old) AS after
