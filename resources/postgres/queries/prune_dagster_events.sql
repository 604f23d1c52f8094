-- In Dagster's database: of `limit` events after `after`, removes the old ones of finished runs that say nothing of an
-- asset. `after` is null when none of them was old. A planned materialisation stays: it is what shows a failed partition.
WITH slice AS MATERIALIZED (
    SELECT id, run_id, dagster_event_type, "timestamp" FROM event_logs WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
), old AS MATERIALIZED (
    SELECT * FROM slice WHERE "timestamp" < now() AT TIME ZONE 'UTC' - make_interval(days => %(days)s)
), chosen AS MATERIALIZED (
    SELECT o.id FROM old o JOIN runs r ON r.run_id = o.run_id
    WHERE r.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
      AND r.update_timestamp < now() AT TIME ZONE 'UTC' - make_interval(days => %(days)s)
      AND (o.dagster_event_type IS NULL OR o.dagster_event_type NOT IN (
          'ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED', 'ASSET_FAILED_TO_MATERIALIZE', 'ASSET_OBSERVATION',
          'ASSET_CHECK_EVALUATION', 'ASSET_WIPED', 'ASSET_HEALTH_CHANGED', 'FRESHNESS_STATE_CHANGE'))
), removed AS (
    DELETE FROM event_logs e USING chosen c WHERE e.id = c.id RETURNING 1
)
SELECT (SELECT count(*) FROM removed) AS removed, (SELECT max(id) FROM old) AS after
