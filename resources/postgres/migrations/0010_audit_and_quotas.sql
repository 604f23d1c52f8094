-- Who asked for what. Written in batches by the API for all callers, read by operators alone, removed by retention.
-- Ids are UUIDv7 of the access's time: the primary key is the order of the list, of the cursor and of the retention.
CREATE TABLE cixml.audit (
    id         uuid PRIMARY KEY,
    at         timestamptz NOT NULL,
    caller_id  text,
    peer       text NOT NULL,
    method     text NOT NULL,
    route      text NOT NULL,
    ids        jsonb NOT NULL,
    status     smallint NOT NULL,
    request_id text NOT NULL,
    trace_id   text NOT NULL
);
CREATE INDEX ix_audit__caller_id ON cixml.audit (caller_id, id);
ALTER TABLE cixml.audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.audit TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.audit TO cixml_pipeline USING (true);
CREATE POLICY written_for_all ON cixml.audit FOR INSERT TO cixml_api WITH CHECK (true);
CREATE POLICY read_by_operators ON cixml.audit FOR SELECT TO cixml_api
    USING ((SELECT current_setting('cixml.operator', true)) = 'on');
GRANT SELECT, INSERT ON cixml.audit TO cixml_api;
GRANT SELECT, DELETE ON cixml.audit TO cixml_pipeline;

-- Pages of the caller that wait or are in work; the api login does not see leases.
CREATE FUNCTION cixml.open_pages() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        SELECT (SELECT count(*) FROM work_queue WHERE caller_id = cixml.caller())
             + (SELECT count(*) FROM leases WHERE caller_id = cixml.caller() AND item_id IS NOT NULL)
    $$;
REVOKE ALL ON FUNCTION cixml.open_pages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.open_pages() TO cixml_api;

-- The tokens of a caller's day, from the index alone.
CREATE INDEX ix_usage_ledger__caller_id_created_at ON cixml.usage_ledger (caller_id, created_at) INCLUDE (tokens);
