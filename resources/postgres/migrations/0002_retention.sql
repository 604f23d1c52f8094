-- What retention looks for. Live versions are not in the first: its size is what waits to be removed.

CREATE INDEX ix_document_versions__over ON cixml.document_versions (coalesce(live_to, fetched_at))
    WHERE live_from IS NULL OR live_to IS NOT NULL;
-- Without it each removed body would scan all versions for its foreign key.
CREATE INDEX ix_document_versions__body_sha256 ON cixml.document_versions (body_sha256);
-- Whether a page waits; a refresh asks it too.
CREATE INDEX ix_work_queue__corpus_id_url_key ON cixml.work_queue (corpus_id, url_key);
