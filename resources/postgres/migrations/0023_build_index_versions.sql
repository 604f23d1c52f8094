-- Another index of a corpus, built beside the one that serves it: by another model, cut another way, or both anew. A request
-- is a row; a run of the pipeline fills it and lets it serve. `fill_from` is NULL for what moves vectors alone (promotion)
-- and for the first index of a corpus.
ALTER TABLE cixml.index_versions
    ADD fill_from       text CHECK (fill_from IN ('chunks', 'text', 'raw')),
    ADD activate        text NOT NULL DEFAULT 'manual' CHECK (activate IN ('manual', 'auto')),
    ADD activate_at     timestamptz,
    ADD drop_after      timestamptz,
    ADD held_until      timestamptz,
    ADD error           jsonb,
    ADD filling_since   timestamptz,
    ADD documents_total int NOT NULL DEFAULT 0,
    ADD documents_done  int NOT NULL DEFAULT 0,
    ADD chunks_total    int NOT NULL DEFAULT 0,
    ADD chunks_done     int NOT NULL DEFAULT 0,
    ADD chunks_reused   int NOT NULL DEFAULT 0;
COMMENT ON COLUMN cixml.index_versions.activate_at IS 'when somebody asked that it serves; until it does';
COMMENT ON COLUMN cixml.index_versions.drop_after IS 'until when a retired version may serve again, and keeps what it has';
COMMENT ON COLUMN cixml.index_versions.chunks_reused IS 'of chunks_done, what was there when the run began';
COMMENT ON COLUMN cixml.index_versions.held_until IS 'no page of the corpus is claimed until then: another version takes over';
UPDATE cixml.index_versions SET fill_from = 'chunks' WHERE state = 'building' AND kind = 'exact';

DROP INDEX cixml.ux_index_versions__building_hnsw;
CREATE UNIQUE INDEX ux_index_versions__promotion ON cixml.index_versions (corpus_id)
    WHERE state = 'building' AND fill_from IS NULL;
CREATE INDEX ix_index_versions__wanted ON cixml.index_versions (id)
    WHERE state = 'building' OR (state = 'ready' AND activate_at IS NOT NULL);

CREATE INDEX ix_chunk_sets__corpus_id_chunking_fp ON cixml.chunk_sets (corpus_id, chunking_fp);

-- Text layers of the chunk sets that do not serve, where pages are read otherwise than those that do: offsets of chunks are
-- offsets into the text they were cut from. A change of what serves exchanges them with the text of the document version.
CREATE TABLE cixml.kept_texts (
    chunking_fp         text NOT NULL,
    document_version_id uuid NOT NULL REFERENCES cixml.document_versions ON DELETE CASCADE,
    corpus_id           uuid NOT NULL,
    text                text NOT NULL,
    language            text,
    extractor           text,
    coverage            real,
    PRIMARY KEY (document_version_id, chunking_fp)
);
CREATE INDEX ix_kept_texts__corpus_id ON cixml.kept_texts (corpus_id, chunking_fp);
ALTER TABLE cixml.kept_texts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.kept_texts TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.kept_texts TO cixml_pipeline USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cixml.kept_texts TO cixml_pipeline;

-- Owners of a corpus ask for an index version, have it serve, and give it up.
DROP POLICY written_by_the_owner ON cixml.index_versions;
CREATE POLICY made_by_owners ON cixml.index_versions AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
CREATE POLICY changed_by_owners ON cixml.index_versions AS RESTRICTIVE FOR UPDATE TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.corpora_as('owner'))::uuid[]));
GRANT UPDATE (state, state_changed_at, activate, activate_at, drop_after) ON cixml.index_versions TO cixml_api;

-- The relation of a building version, made at its first run; what an earlier run stored stays.
CREATE FUNCTION cixml.ensure_own_relation(index_version uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE
        own text;
        width int;
    BEGIN
        SELECT v.relation, m.dimension INTO STRICT own, width
        FROM index_versions v JOIN models m ON m.id = v.model_id
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'building' AND v.fill_from IS NOT NULL;
        IF to_regclass(format('cixml.%I', own)) IS NULL THEN
            PERFORM make_vector_relation(own, width);
        END IF;
    END $$;
REVOKE ALL ON FUNCTION cixml.ensure_own_relation(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.ensure_own_relation(uuid) TO cixml_pipeline;

-- As before, but while another version takes over nothing new of the corpus is begun.
CREATE OR REPLACE VIEW cixml.workable_items WITH (security_invoker = true) AS
    SELECT q.item_id, q.caller_id, q.corpus_id, q.url_key, q.ready_at, m.name AS model
    FROM cixml.work_queue q
    JOIN cixml.index_versions v ON v.corpus_id = q.corpus_id AND v.state = 'serving'
        AND (v.held_until IS NULL OR v.held_until <= now())
    JOIN cixml.models m ON m.id = v.model_id AND m.is_enabled
    JOIN cixml.corpora k ON k.id = q.corpus_id AND k.deleted_at IS NULL
    WHERE q.ready_at <= now()
      AND q.host NOT IN (SELECT h.host FROM cixml.hosts h WHERE h.not_before > now())
      AND NOT EXISTS (SELECT FROM cixml.leases l
                      WHERE l.corpus_id = q.corpus_id AND l.url_key = q.url_key AND l.work = 'ingest');
