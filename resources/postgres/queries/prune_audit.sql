-- Ids begin with the time of the access.
WITH old AS MATERIALIZED (
    SELECT a.id FROM cixml.audit a
    WHERE a.id < (SELECT uuidv7(make_interval(days => -%(days)s)))
    ORDER BY a.id LIMIT %(limit)s
)
DELETE FROM cixml.audit a USING old WHERE a.id = old.id
