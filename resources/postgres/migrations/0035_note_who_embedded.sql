-- Where a hit comes from tells the run that made its vector, and when: the vector itself notes them and keeps them where it is
-- copied to. What was stored before knows neither. Batches may go before; 24 bytes beside the vector's 776 or more.
DO $$
DECLARE relation text;
BEGIN
    FOR relation IN
        SELECT r.name FROM (SELECT m.relation FROM cixml.models m UNION SELECT v.relation FROM cixml.index_versions v) r (name)
        WHERE to_regclass(format('cixml.%I', r.name)) IS NOT NULL
    LOOP
        EXECUTE format('ALTER TABLE cixml.%I ADD batch_id uuid, ADD stored_at timestamptz', relation);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION cixml.make_vector_relation(relation text, dimension int) RETURNS void
    LANGUAGE plpgsql SET search_path = cixml, public, pg_temp
    AS $$
    BEGIN
        EXECUTE format('CREATE TABLE cixml.%I (corpus_id uuid NOT NULL, chunk_hash uuid NOT NULL, '
            'embedding halfvec(%s) NOT NULL, batch_id uuid, stored_at timestamptz, PRIMARY KEY (corpus_id, chunk_hash)) '
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
