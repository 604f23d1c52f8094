-- Pages that a crawl found gone, each until its document is deleted: that takes the corpus's lock alone, which no run takes
-- in the middle of its work. Written in the transaction that ends the item.
CREATE TABLE cixml.removed_pages (
    item_id     uuid PRIMARY KEY,
    document_id uuid NOT NULL,
    corpus_id   uuid NOT NULL,
    caller_id   text NOT NULL,
    removed_at  timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE cixml.removed_pages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.removed_pages TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.removed_pages TO cixml_pipeline USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cixml.removed_pages TO cixml_pipeline;
GRANT INSERT ON cixml.receipts TO cixml_pipeline;
