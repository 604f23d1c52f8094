-- A document may be pushed by its caller: it has no URL, nothing was fetched for it, and its key in the corpus is made of
-- the caller's own id. Its text comes with the submission: the api login stores it as bytes and as a version.

ALTER TABLE cixml.documents ALTER url DROP NOT NULL;
ALTER TABLE cixml.job_items ALTER url DROP NOT NULL;
ALTER TABLE cixml.document_versions ALTER final_url DROP NOT NULL, ALTER http_status DROP NOT NULL;

-- Bytes are shared by all who have them, so nobody may store others under a hash.
CREATE POLICY pushed_bytes ON cixml.page_bodies FOR INSERT TO cixml_api WITH CHECK (sha256 = sha256(body));
CREATE POLICY pushed_by_writers ON cixml.documents AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (url IS NULL AND corpus_id = ANY ((SELECT cixml.corpora_as('writer', 'owner'))::uuid[]));
CREATE POLICY pushed_by_writers ON cixml.document_versions AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (corpus_id = ANY ((SELECT cixml.corpora_as('writer', 'owner'))::uuid[])
        AND EXISTS (SELECT FROM cixml.documents d
                    WHERE d.id = document_id AND d.corpus_id = document_versions.corpus_id AND d.url IS NULL));
GRANT INSERT ON cixml.page_bodies, cixml.documents, cixml.document_versions TO cixml_api;
GRANT USAGE ON SEQUENCE cixml.fetch_seq TO cixml_api;
