-- Deletion: a tombstone in the request's transaction, a receipt, and rows that lifeline removes afterwards.

CREATE TABLE cixml.receipts (
    id           uuid PRIMARY KEY DEFAULT uuidv7(),
    caller_id    text NOT NULL,
    corpus_id    uuid NOT NULL REFERENCES cixml.corpora,
    corpus       text NOT NULL, -- as the caller named it: its row may be hidden from the caller later
    kind         text NOT NULL CHECK (kind IN ('corpus', 'document', 'documents')),
    status       text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'done')),
    removed      jsonb NOT NULL DEFAULT '{}',
    waits_for    text,
    requested_at timestamptz NOT NULL DEFAULT now(),
    next_at      timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
) WITH (fillfactor = 50);
CREATE INDEX ix_receipts__open ON cixml.receipts (id) WHERE finished_at IS NULL;
ALTER TABLE cixml.receipts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.receipts TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.receipts TO cixml_pipeline USING (true);
CREATE POLICY own_rows ON cixml.receipts TO cixml_api USING (caller_id = (SELECT cixml.caller()));
CREATE POLICY of_pages_by_writers ON cixml.receipts AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (kind = 'corpus' OR corpus_id = ANY ((SELECT cixml.corpora_as('writer', 'owner'))::uuid[]));
CREATE POLICY of_corpora_by_owners ON cixml.receipts AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (kind <> 'corpus' OR corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
GRANT SELECT, INSERT (caller_id, corpus_id, corpus, kind) ON cixml.receipts TO cixml_api;
GRANT SELECT, UPDATE ON cixml.receipts TO cixml_pipeline;

-- A deleted document gives its place in UNIQUE (corpus_id, url_key) free at once: its url_key becomes 'deleted:<id>', and
-- what it was stands beside. So whatever looks for a page by its key finds the living one, or none.
ALTER TABLE cixml.documents ADD deleted_url_key text, ADD receipt_id uuid;
CREATE INDEX ix_documents__corpus_id_deleted_url_key ON cixml.documents (corpus_id, deleted_url_key)
    WHERE deleted_url_key IS NOT NULL;
CREATE INDEX ix_documents__receipt_id ON cixml.documents (receipt_id) WHERE receipt_id IS NOT NULL;

GRANT UPDATE (url_key, deleted_url_key, live_version_id, deleted_at, receipt_id) ON cixml.documents TO cixml_api;
GRANT UPDATE (live_to) ON cixml.document_versions TO cixml_api;
GRANT UPDATE (documents, chunks, tokens, digest, changed_at) ON cixml.corpus_levels TO cixml_api;
DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['documents', 'document_versions', 'corpus_levels'] LOOP
        EXECUTE format('CREATE POLICY deleted_by_writers ON cixml.%I AS RESTRICTIVE FOR UPDATE TO cixml_api '
            'USING (corpus_id = ANY ((SELECT cixml.corpora_as(''writer'', ''owner''))::uuid[]))', relation);
    END LOOP;
END $$;

-- Holds a corpus to the end of the transaction: whoever adds to it calls this first, and a deletion waits for its end. False:
-- it is deleted. A writer's login may not lock the row itself.
CREATE FUNCTION cixml.hold_corpus(corpus uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
    BEGIN
        PERFORM FROM corpora WHERE id = corpus AND deleted_at IS NULL FOR KEY SHARE;
        RETURN FOUND;
    END $$;
REVOKE ALL ON FUNCTION cixml.hold_corpus(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.hold_corpus(uuid) TO cixml_api, cixml_pipeline;
