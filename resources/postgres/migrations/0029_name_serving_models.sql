-- /healthz names the models that corpora are served by and nobody can embed with any more, over all callers.
CREATE FUNCTION cixml.serving_models()
    RETURNS TABLE (name text, fingerprint text, corpora bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        SELECT m.name, m.fingerprint, count(*)
        FROM index_versions v JOIN models m ON m.id = v.model_id
        JOIN corpora c ON c.id = v.corpus_id AND c.deleted_at IS NULL
        WHERE v.state = 'serving'
        GROUP BY m.id ORDER BY m.name, m.id
    $$;
REVOKE ALL ON FUNCTION cixml.serving_models() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.serving_models() TO cixml_api, cixml_pipeline;
