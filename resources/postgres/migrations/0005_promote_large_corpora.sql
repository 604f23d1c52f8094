-- A large corpus gets a relation of its own with an HNSW index. Making, indexing and dropping relations is the owner's
-- right: these functions lend it to the pipeline, for the relations of index versions alone.

ALTER TABLE cixml.index_versions ADD released_at timestamptz;
COMMENT ON COLUMN cixml.index_versions.released_at IS 'when the vectors of a retired version had left their relation';
CREATE UNIQUE INDEX ux_index_versions__building_hnsw ON cixml.index_versions (corpus_id)
    WHERE state = 'building' AND kind = 'hnsw';
CREATE INDEX ix_index_versions__leftover ON cixml.index_versions (corpus_id)
    WHERE state = 'retired' AND released_at IS NULL;

-- halfvec loses no recall and is a third of float32 at 1,024 dimensions; STORAGE PLAIN keeps it in the row, since out of
-- line each distance costs a TOAST fetch (9 to 10 times the page reads).
CREATE FUNCTION cixml.make_vector_relation(relation text, dimension int) RETURNS void
    LANGUAGE plpgsql SET search_path = cixml, public, pg_temp
    AS $$
    BEGIN
        EXECUTE format('CREATE TABLE cixml.%I (corpus_id uuid NOT NULL, chunk_hash uuid NOT NULL, '
            'embedding halfvec(%s) NOT NULL, PRIMARY KEY (corpus_id, chunk_hash)) '
            'WITH (autovacuum_vacuum_cost_delay = 0)', relation, dimension);
        EXECUTE format('ALTER TABLE cixml.%I ALTER embedding SET STORAGE PLAIN', relation);
        EXECUTE format('ALTER TABLE cixml.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner_sees_all ON cixml.%I TO CURRENT_USER USING (true)', relation);
        EXECUTE format('CREATE POLICY pipeline_sees_all ON cixml.%I TO cixml_pipeline USING (true)', relation);
        EXECUTE format('CREATE POLICY rows_of_visible_corpora ON cixml.%I TO cixml_api '
            'USING (corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]))', relation);
        EXECUTE format('GRANT SELECT ON cixml.%I TO cixml_api', relation);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON cixml.%I TO cixml_pipeline', relation);
    END $$;

-- The relation of a building version, empty: what a killed build left goes.
CREATE FUNCTION cixml.make_own_relation(index_version uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE
        own text;
        width int;
    BEGIN
        SELECT v.relation, m.dimension INTO STRICT own, width
        FROM index_versions v JOIN models m ON m.id = v.model_id
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'building';
        EXECUTE format('DROP TABLE IF EXISTS cixml.%I', own);
        PERFORM make_vector_relation(own, width);
    END $$;

-- Built after the load: a row inserted into the graph costs 110 times the server's time of a bare one.
CREATE FUNCTION cixml.build_hnsw(index_version uuid, m int, ef_construction int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE own text;
    BEGIN
        SELECT v.relation INTO STRICT own FROM index_versions v
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'building';
        EXECUTE format('CREATE INDEX ON cixml.%I USING hnsw (embedding halfvec_ip_ops) '
            'WITH (m = %s, ef_construction = %s)', own, m, ef_construction);
        EXECUTE format('ANALYZE cixml.%I', own);
    END $$;

CREATE FUNCTION cixml.drop_own_relation(index_version uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE own text;
    BEGIN
        SELECT v.relation INTO STRICT own FROM index_versions v
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'retired';
        EXECUTE format('DROP TABLE IF EXISTS cixml.%I', own);
    END $$;

REVOKE ALL ON FUNCTION cixml.make_vector_relation(text, int), cixml.make_own_relation(uuid),
    cixml.build_hnsw(uuid, int, int), cixml.drop_own_relation(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.make_own_relation(uuid), cixml.build_hnsw(uuid, int, int), cixml.drop_own_relation(uuid)
    TO cixml_pipeline;

-- A search says how many chunks it ran over; the graph does not count them.
CREATE POLICY rows_of_visible_corpora ON cixml.corpus_levels TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]));
GRANT SELECT ON cixml.corpus_levels TO cixml_api;
