-- A caller's dead letters over all its jobs, the newest first. No change of a status touches this: an item enters it when it
-- fails for good.

CREATE INDEX ix_job_items__failed ON cixml.job_items (caller_id, id DESC) WHERE failed_stage IS NOT NULL;
