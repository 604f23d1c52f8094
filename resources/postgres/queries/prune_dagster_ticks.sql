-- In Dagster's database: of the `limit` oldest ticks, those that are old, whatever became of their sensor.
DELETE FROM job_ticks
WHERE id IN (SELECT id FROM job_ticks ORDER BY id LIMIT %(limit)s)
  AND "timestamp" < now() AT TIME ZONE 'UTC' - make_interval(days => %(days)s)
