-- When a page was first told that its host is paused: a host that asks for pauses without end holds no page for ever.
ALTER TABLE cixml.job_items ADD paused_since timestamptz;
