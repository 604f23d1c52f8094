-- A page (8 kB) holds no vector of more than 4,000 numbers, and HNSW over halfvec takes no more: wider ones lie out of line,
-- uncompressed, and their graph is over the signs of the numbers (a bit each). A search ranks what it finds by the vectors.

CREATE OR REPLACE FUNCTION cixml.make_vector_relation(relation text, dimension int) RETURNS void
    LANGUAGE plpgsql SET search_path = cixml, public, pg_temp
    AS $$
    BEGIN
        EXECUTE format('CREATE TABLE cixml.%I (corpus_id uuid NOT NULL, chunk_hash uuid NOT NULL, '
            'embedding halfvec(%s) NOT NULL, PRIMARY KEY (corpus_id, chunk_hash)) '
            'WITH (autovacuum_vacuum_cost_delay = 0)', relation, dimension);
        EXECUTE format('ALTER TABLE cixml.%I ALTER embedding SET STORAGE %s', relation,
            CASE WHEN dimension > 4000 THEN 'EXTERNAL' ELSE 'PLAIN' END);
        EXECUTE format('ALTER TABLE cixml.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner_sees_all ON cixml.%I TO CURRENT_USER USING (true)', relation);
        EXECUTE format('CREATE POLICY pipeline_sees_all ON cixml.%I TO cixml_pipeline USING (true)', relation);
        EXECUTE format('CREATE POLICY rows_of_visible_corpora ON cixml.%I TO cixml_api '
            'USING (corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]))', relation);
        EXECUTE format('GRANT SELECT ON cixml.%I TO cixml_api', relation);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON cixml.%I TO cixml_pipeline', relation);
    END $$;

CREATE OR REPLACE FUNCTION cixml.build_hnsw(index_version uuid, m int, ef_construction int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE
        own text;
        width int;
    BEGIN
        SELECT v.relation, k.dimension INTO STRICT own, width
        FROM index_versions v JOIN models k ON k.id = v.model_id
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'building';
        EXECUTE format('CREATE INDEX ON cixml.%I USING hnsw (%s) WITH (m = %s, ef_construction = %s)', own,
            CASE WHEN width > 4000 THEN format('(binary_quantize(embedding)::bit(%s)) bit_hamming_ops', width)
                 ELSE 'embedding halfvec_ip_ops' END, m, ef_construction);
        EXECUTE format('ANALYZE cixml.%I', own);
    END $$;
