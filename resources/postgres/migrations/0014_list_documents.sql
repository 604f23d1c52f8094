-- Documents are listed by id within a corpus and found by their caller's own id; their stored bytes are read by who may
-- see a version that has them.

CREATE INDEX ix_documents__corpus_id ON cixml.documents (corpus_id, id);
CREATE INDEX ix_documents__external_id ON cixml.documents (corpus_id, external_id) WHERE external_id IS NOT NULL;
CREATE POLICY bytes_of_visible_versions ON cixml.page_bodies FOR SELECT TO cixml_api
    USING (EXISTS (SELECT FROM cixml.document_versions v WHERE v.body_sha256 = page_bodies.sha256));
GRANT SELECT ON cixml.page_bodies TO cixml_api;
