-- A row inserted into a graph costs 40 times one beside it, and a rewrite leaves its room behind. So the relation of a version
-- with a graph is two tables: what the graph was built over is `<relation>_graph`, and the relation itself, its parent, takes
-- what came since and is scanned exactly. A query of the relation sees both. Few are merged into the graph; more, and the graph is
-- built anew beside it.
ALTER TABLE cixml.index_versions DROP built_bytes_a_row,
    ADD built_rows int NOT NULL DEFAULT 0, ADD merged_rows int NOT NULL DEFAULT 0, ADD dead_rows int NOT NULL DEFAULT 0,
    ADD is_urgent boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN cixml.index_versions.built_rows IS 'vectors that the graph was built over';
COMMENT ON COLUMN cixml.index_versions.merged_rows IS 'vectors that were inserted into the graph since';
COMMENT ON COLUMN cixml.index_versions.dead_rows IS 'vectors that left the graph since: it keeps their room';
COMMENT ON COLUMN cixml.index_versions.is_urgent IS 'of a version to build: searches are slow until it serves, so it waits for no quiet';

-- What the relation holds becomes what its graph is built over, by names alone. What a killed build left in between moves.
CREATE FUNCTION cixml.divide_relation(own text, dimension int) RETURNS void
    LANGUAGE plpgsql SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE graph text := own || '_graph';
    BEGIN
        IF to_regclass(format('cixml.%I', graph)) IS NULL THEN
            EXECUTE format('ALTER TABLE cixml.%I RENAME TO %I', own, graph);
            EXECUTE format('ALTER INDEX cixml.%I RENAME TO %I', own || '_pkey', graph || '_pkey');
            PERFORM make_vector_relation(own, dimension);
            EXECUTE format('ALTER TABLE cixml.%I INHERIT cixml.%I', graph, own);
        ELSE
            EXECUTE format('WITH moved AS (DELETE FROM ONLY cixml.%I RETURNING *) '
                'INSERT INTO cixml.%I (corpus_id, chunk_hash, embedding, batch_id, stored_at) '
                'SELECT corpus_id, chunk_hash, embedding, batch_id, stored_at FROM moved ON CONFLICT DO NOTHING', own, graph);
        END IF;
    END $$;

CREATE FUNCTION cixml.divide_own_relation(index_version uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE
        own text;
        width int;
    BEGIN
        SELECT v.relation, k.dimension INTO STRICT own, width
        FROM index_versions v JOIN models k ON k.id = v.model_id
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'building';
        PERFORM divide_relation(own, width);
    END $$;

CREATE OR REPLACE FUNCTION cixml.make_own_relation(index_version uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE
        own text;
        width int;
    BEGIN
        SELECT v.relation, m.dimension INTO STRICT own, width
        FROM index_versions v JOIN models m ON m.id = v.model_id
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'building';
        EXECUTE format('DROP TABLE IF EXISTS cixml.%I, cixml.%I', own, own || '_graph');  -- in the order of who reads
        PERFORM make_vector_relation(own, width);
    END $$;

CREATE OR REPLACE FUNCTION cixml.drop_own_relation(index_version uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE own text;
    BEGIN
        SELECT v.relation INTO STRICT own FROM index_versions v
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'retired';
        EXECUTE format('DROP TABLE IF EXISTS cixml.%I, cixml.%I', own, own || '_graph');  -- in the order of who reads
    END $$;

CREATE OR REPLACE FUNCTION cixml.build_hnsw(index_version uuid, m int, ef_construction int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = cixml, public, pg_temp
    AS $$
    DECLARE
        graph text;
        width int;
    BEGIN
        SELECT v.relation || '_graph', k.dimension INTO STRICT graph, width
        FROM index_versions v JOIN models k ON k.id = v.model_id
        WHERE v.id = index_version AND v.kind = 'hnsw' AND v.state = 'building';
        IF EXISTS (SELECT FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_am a ON a.oid = k.relam
                   WHERE i.indrelid = to_regclass(format('cixml.%I', graph)) AND a.amname = 'hnsw') THEN
            RETURN;  -- built, and not yet asked what it finds
        END IF;
        EXECUTE format('CREATE INDEX ON cixml.%I USING hnsw (%s) WITH (m = %s, ef_construction = %s)', graph,
            CASE WHEN width > 4000 THEN format('(binary_quantize(embedding)::bit(%s)) bit_hamming_ops', width)
                 ELSE 'embedding halfvec_ip_ops' END, m, ef_construction);
        EXECUTE format('ANALYZE cixml.%I', graph);
    END $$;

REVOKE ALL ON FUNCTION cixml.divide_relation(text, int), cixml.divide_own_relation(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.divide_own_relation(uuid) TO cixml_pipeline;

-- What has its graph already.
DO $$
DECLARE
    built record;
    held int;
BEGIN
    FOR built IN
        SELECT v.id, v.relation, m.dimension FROM cixml.index_versions v JOIN cixml.models m ON m.id = v.model_id
        WHERE v.kind = 'hnsw' AND EXISTS (
            SELECT FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_am a ON a.oid = k.relam
            WHERE i.indrelid = to_regclass(format('cixml.%I', v.relation)) AND a.amname = 'hnsw')
    LOOP
        PERFORM cixml.divide_relation(built.relation, built.dimension);
        EXECUTE format('SELECT count(*) FROM cixml.%I', built.relation) INTO held;
        UPDATE cixml.index_versions SET built_rows = held WHERE id = built.id;
    END LOOP;
END $$;
