-- A dead letter that was retried is one no more: the new item is, if it fails too. An item that has ended moves no counter.
ALTER TABLE cixml.job_items ADD retried_as uuid;
GRANT UPDATE (retried_as) ON cixml.job_items TO cixml_api;
