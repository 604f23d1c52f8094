-- Numbers that the API can't read itself, or not at every scrape: lifeline notes them, each for as long as it is to be believed.
CREATE TABLE cixml.noted_numbers (
    metric      text NOT NULL,
    label       text NOT NULL,
    number      double precision NOT NULL,
    noted_at    timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz NOT NULL,
    PRIMARY KEY (metric, label)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON cixml.noted_numbers TO cixml_pipeline;

-- An age goes on while it is noted.
CREATE FUNCTION cixml.recent_numbers() RETURNS TABLE (metric text, label text, number double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        SELECT metric, label,
               number + CASE WHEN metric LIKE '%_age_seconds' THEN extract(epoch FROM now() - noted_at) ELSE 0 END
        FROM noted_numbers WHERE valid_until > now()
    $$;
REVOKE ALL ON FUNCTION cixml.recent_numbers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.recent_numbers() TO cixml_api, cixml_pipeline;
