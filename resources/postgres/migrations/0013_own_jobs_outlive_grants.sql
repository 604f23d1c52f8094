-- A caller keeps its jobs when a grant is taken or the corpus goes: it reads and cancels them. Only what is new needs the
-- corpus. The columns that the api login may update name neither a caller nor a corpus.

DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['jobs', 'job_items', 'work_queue'] LOOP
        EXECUTE format('DROP POLICY own_rows ON cixml.%I', relation);
        EXECUTE format('CREATE POLICY own_rows ON cixml.%I TO cixml_api USING (caller_id = (SELECT cixml.caller()))', relation);
    END LOOP;
END $$;

-- The corpus of an own job, as its caller names it, also where the caller may not see the corpus any more.
CREATE FUNCTION cixml.corpus_of_own_job(job uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        SELECT CASE WHEN c.owner = j.caller_id THEN c.name ELSE c.owner || ':' || c.name END
        FROM jobs j JOIN corpora c ON c.id = j.corpus_id
        WHERE j.id = job AND j.caller_id = caller()
    $$;
REVOKE ALL ON FUNCTION cixml.corpus_of_own_job(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.corpus_of_own_job(uuid) TO cixml_api;
