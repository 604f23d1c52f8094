-- Questions of a corpus and what answers them, and what an index version was found to be worth beside the one that serves.
CREATE TABLE cixml.labels (
    corpus_id uuid NOT NULL REFERENCES cixml.corpora,
    ordinal   int NOT NULL,
    query     text NOT NULL,
    relevant  text[] NOT NULL,
    PRIMARY KEY (corpus_id, ordinal)
);
COMMENT ON COLUMN cixml.labels.relevant IS 'documents by URL, by their caller''s own id, or by id';
ALTER TABLE cixml.labels ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.labels TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.labels TO cixml_pipeline USING (true);
CREATE POLICY rows_of_visible_corpora ON cixml.labels TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]));
CREATE POLICY written_by_owners ON cixml.labels AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
CREATE POLICY removed_by_owners ON cixml.labels AS RESTRICTIVE FOR DELETE TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
GRANT SELECT, INSERT, DELETE ON cixml.labels TO cixml_api;
GRANT SELECT, DELETE ON cixml.labels TO cixml_pipeline;

ALTER TABLE cixml.index_versions
    ADD comparison jsonb,
    ADD is_forced  boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN cixml.index_versions.is_forced IS 'it shall serve whatever the comparison says';
GRANT UPDATE (comparison, is_forced) ON cixml.index_versions TO cixml_api;
