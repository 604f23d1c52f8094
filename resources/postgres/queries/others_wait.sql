-- Whether another caller has an item in the queue whose time has come.
SELECT EXISTS (SELECT 1 FROM cixml.work_queue WHERE caller_id <> ALL (
    SELECT caller_id FROM cixml.leases WHERE batch_id = %(batch_id)s) AND ready_at <= now())
