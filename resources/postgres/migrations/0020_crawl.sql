-- A job may crawl: pages and sitemaps that its items name become items of the same job, in the transaction that stores what
-- named them. `crawl` holds the rules and the seeds; the counters move under the job's lock.
ALTER TABLE cixml.jobs
    ADD crawl          jsonb,
    ADD pages_found    int NOT NULL DEFAULT 0,
    ADD sitemaps_found int NOT NULL DEFAULT 0,
    ADD pages_left_out int NOT NULL DEFAULT 0;
CREATE INDEX ix_jobs__corpus_id_crawl ON cixml.jobs (corpus_id, created_at) WHERE crawl IS NOT NULL;

-- `depth` is NULL where nothing is crawled from the item. `family` is what URLs share that differ in dates or in the values of
-- their query alone; a crawl takes a bounded number of each.
ALTER TABLE cixml.job_items
    ADD kind           text NOT NULL DEFAULT 'page' CHECK (kind IN ('page', 'sitemap')),
    ADD depth          int,
    ADD parent_item_id uuid,
    ADD family         text;
CREATE UNIQUE INDEX ux_job_items__job_id_url_key ON cixml.job_items (job_id, url_key) WHERE depth IS NOT NULL;
CREATE INDEX ix_job_items__job_id_family ON cixml.job_items (job_id, family) WHERE family IS NOT NULL;
