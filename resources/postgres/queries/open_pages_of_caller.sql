-- How many pages wait or are in work for a caller.
SELECT (SELECT count(*) FROM cixml.work_queue WHERE caller_id = %(caller_id)s)
     + (SELECT count(*) FROM cixml.leases WHERE caller_id = %(caller_id)s AND item_id IS NOT NULL)
