-- Ids begin with the time they were made: no index on finished_at is needed to find the old ones.
WITH old AS MATERIALIZED (
    SELECT b.id FROM cixml.batches b
    WHERE b.id < (SELECT uuidv7(make_interval(days => -%(days)s)))
      AND b.finished_at < now() - make_interval(days => %(days)s)
      AND NOT EXISTS (SELECT FROM cixml.leases l WHERE l.batch_id = b.id)
    ORDER BY b.id LIMIT %(limit)s
)
DELETE FROM cixml.batches b USING old WHERE b.id = old.id
