-- A caller's login may end its own jobs: row-level security says which rows, these grants which columns.
GRANT UPDATE (status, version, items_open, finished_at) ON cixml.jobs TO cixml_api;
GRANT UPDATE (status, waiting_reason, next_attempt_at, finished_at) ON cixml.job_items TO cixml_api;
GRANT DELETE ON cixml.work_queue TO cixml_api;
