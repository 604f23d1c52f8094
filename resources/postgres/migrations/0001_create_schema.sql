-- The whole data model. Vector relations are made per model by resources/postgres/vector_relations.py.
-- Group roles cixml_api and cixml_pipeline exist before this file runs (resources/postgres/roles.py).

CREATE SCHEMA IF NOT EXISTS cixml;
GRANT USAGE ON SCHEMA cixml TO cixml_api, cixml_pipeline;

CREATE FUNCTION cixml.caller() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('cixml.caller_id', true), '') $$;

-- Who owns what ------------------------------------------------------------------------------------------------------

CREATE TABLE cixml.callers (
    caller_id   text PRIMARY KEY,
    caller_type text NOT NULL CHECK (caller_type IN ('user', 'service', 'unknown')),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE cixml.models (
    id          smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    fingerprint text NOT NULL UNIQUE,
    revision    text NOT NULL,
    dimension   int NOT NULL CHECK (dimension BETWEEN 1 AND 16000),
    max_tokens  int NOT NULL,
    relation    text NOT NULL UNIQUE,
    is_enabled  boolean NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ux_models__name ON cixml.models (name) WHERE is_enabled;

CREATE TABLE cixml.corpora (
    id            uuid PRIMARY KEY DEFAULT uuidv7(),
    owner         text NOT NULL REFERENCES cixml.callers,
    name          text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    partition_key text NOT NULL UNIQUE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz
);
CREATE UNIQUE INDEX ux_corpora__owner_name ON cixml.corpora (owner, name) WHERE deleted_at IS NULL;

CREATE TABLE cixml.grants (
    corpus_id uuid NOT NULL REFERENCES cixml.corpora,
    caller_id text NOT NULL REFERENCES cixml.callers,
    role      text NOT NULL CHECK (role IN ('reader', 'writer', 'owner')),
    PRIMARY KEY (caller_id, corpus_id)
);

CREATE TABLE cixml.index_versions (
    id               uuid PRIMARY KEY DEFAULT uuidv7(),
    corpus_id        uuid NOT NULL REFERENCES cixml.corpora,
    model_id         smallint NOT NULL REFERENCES cixml.models,
    chunking         jsonb NOT NULL,
    chunking_fp      text NOT NULL,
    relation         text NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('exact', 'hnsw')),
    state            text NOT NULL CHECK (state IN ('building', 'ready', 'serving', 'retired')),
    ef_search        int NOT NULL DEFAULT 80,
    created_at       timestamptz NOT NULL DEFAULT now(),
    state_changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ux_index_versions__serving ON cixml.index_versions (corpus_id) WHERE state = 'serving';
CREATE INDEX ix_index_versions__corpus_id ON cixml.index_versions (corpus_id);

-- What is asked for --------------------------------------------------------------------------------------------------
-- Nothing that a status change touches is indexed: updates stay in the page (HOT); fillfactor leaves them the room.

CREATE TABLE cixml.jobs (
    id            uuid PRIMARY KEY DEFAULT uuidv7(),
    caller_id     text NOT NULL REFERENCES cixml.callers,
    corpus_id     uuid NOT NULL REFERENCES cixml.corpora,
    parent_job_id uuid REFERENCES cixml.jobs,
    status        text NOT NULL DEFAULT 'queued' CHECK (status IN
                      ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelling', 'cancelled')),
    version       int NOT NULL DEFAULT 1,
    items_total   int NOT NULL,
    items_open    int NOT NULL CHECK (items_open >= 0),
    items_good    int NOT NULL DEFAULT 0,
    items_failed  int NOT NULL DEFAULT 0,
    failed_stage  text CHECK (failed_stage IN ('scraping', 'chunking', 'embedding')),
    error         jsonb,
    traceparent   text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    started_at    timestamptz,
    finished_at   timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ix_jobs__caller_id_created_at ON cixml.jobs (caller_id, created_at DESC, id DESC);
CREATE INDEX ix_jobs__failed_stage ON cixml.jobs (failed_stage) WHERE failed_stage IS NOT NULL;

CREATE TABLE cixml.job_items (
    id                  uuid PRIMARY KEY DEFAULT uuidv7(),
    job_id              uuid NOT NULL REFERENCES cixml.jobs,
    caller_id           text NOT NULL,
    corpus_id           uuid NOT NULL,
    ordinal             int NOT NULL,
    url                 text NOT NULL,
    url_key             text NOT NULL,
    host                text NOT NULL,
    external_id         text,
    metadata            jsonb NOT NULL DEFAULT '{}',
    status              text NOT NULL DEFAULT 'queued' CHECK (status IN
                            ('queued', 'scraping', 'chunking', 'embedding',
                             'indexed', 'unchanged', 'skipped', 'failed', 'cancelled')),
    start_stage         text NOT NULL DEFAULT 'scraping' CHECK (start_stage IN ('scraping', 'chunking', 'embedding')),
    attempts            int NOT NULL DEFAULT 0,
    waiting_reason      text,
    next_attempt_at     timestamptz,
    document_id         uuid,
    document_version_id uuid,
    final_url           text,
    http_status         int,
    bytes               bigint NOT NULL DEFAULT 0,
    fetched_at          timestamptz,
    robots              jsonb,
    change              text CHECK (change IN ('new', 'changed', 'unchanged', 'removed')),
    chunks_total        int NOT NULL DEFAULT 0,
    chunks_added        int NOT NULL DEFAULT 0,
    chunks_kept         int NOT NULL DEFAULT 0,
    chunks_removed      int NOT NULL DEFAULT 0,
    embedding_tokens    bigint NOT NULL DEFAULT 0,
    cached_tokens       bigint NOT NULL DEFAULT 0,
    failed_stage        text CHECK (failed_stage IN ('scraping', 'chunking', 'embedding')),
    error               jsonb,
    duplicate_of        uuid,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    finished_at         timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX ux_job_items__job_id_ordinal ON cixml.job_items (job_id, ordinal);

-- Insert and delete only: what waits (work_queue) and what is under work (leases). An open item is in exactly one.
CREATE TABLE cixml.work_queue (
    item_id     uuid PRIMARY KEY REFERENCES cixml.job_items,
    caller_id   text NOT NULL,
    corpus_id   uuid NOT NULL,
    url_key     text NOT NULL,
    host        text NOT NULL,
    ready_at    timestamptz NOT NULL DEFAULT now(),
    enqueued_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ix_work_queue__caller_id_ready_at ON cixml.work_queue (caller_id, ready_at, item_id);

CREATE TABLE cixml.batches (
    id          uuid PRIMARY KEY DEFAULT uuidv7(),
    kind        text NOT NULL CHECK (kind IN ('ingest', 'refresh', 'backfill')),
    corpus_id   uuid NOT NULL REFERENCES cixml.corpora,
    model_id    smallint REFERENCES cixml.models,
    run_id      text,
    state       text NOT NULL DEFAULT 'claimed' CHECK (state IN ('claimed', 'running', 'done', 'lost')),
    items       int NOT NULL,
    lease_until timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ix_batches__open ON cixml.batches (id) WHERE finished_at IS NULL;
CREATE INDEX ix_batches__run_id ON cixml.batches (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE cixml.leases (
    corpus_id   uuid NOT NULL,
    url_key     text NOT NULL,
    work        text NOT NULL,
    batch_id    uuid NOT NULL REFERENCES cixml.batches,
    item_id     uuid REFERENCES cixml.job_items,
    caller_id   text NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (corpus_id, url_key, work)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ix_leases__batch_id ON cixml.leases (batch_id);

CREATE TABLE cixml.workers (
    id      text PRIMARY KEY,
    queues  text[] NOT NULL,
    slots   int NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE cixml.hosts (
    host       text PRIMARY KEY,
    not_before timestamptz NOT NULL,
    reason     text NOT NULL
);

-- What is stored -----------------------------------------------------------------------------------------------------

CREATE SEQUENCE cixml.fetch_seq;

CREATE TABLE cixml.page_bodies (
    sha256 bytea PRIMARY KEY,
    body   bytea NOT NULL
);

CREATE TABLE cixml.documents (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    corpus_id       uuid NOT NULL REFERENCES cixml.corpora,
    url_key         text NOT NULL,
    url             text NOT NULL,
    host            text NOT NULL,
    external_id     text,
    metadata        jsonb NOT NULL DEFAULT '{}',
    live_version_id uuid,
    fetch_seq       bigint NOT NULL DEFAULT 0,
    checked_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    deleted_at      timestamptz,
    UNIQUE (corpus_id, url_key)
) WITH (fillfactor = 70);

CREATE TABLE cixml.document_versions (
    id            uuid PRIMARY KEY DEFAULT uuidv7(),
    document_id   uuid NOT NULL REFERENCES cixml.documents,
    corpus_id     uuid NOT NULL,
    fetch_seq     bigint NOT NULL,
    body_sha256   bytea NOT NULL REFERENCES cixml.page_bodies,
    body_bytes    bigint NOT NULL,
    final_url     text NOT NULL,
    http_status   int NOT NULL,
    content_type  text NOT NULL,
    charset       text,
    etag          text,
    last_modified text,
    fetched_at    timestamptz NOT NULL,
    title         text,
    language      text,
    extractor     text,
    coverage      real,
    text          text,
    text_sha256   bytea,
    live_from     timestamptz,
    live_to       timestamptz
) WITH (fillfactor = 70);
CREATE INDEX ix_document_versions__document_id ON cixml.document_versions (document_id);

CREATE TABLE cixml.chunk_sets (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_version_id uuid NOT NULL REFERENCES cixml.document_versions,
    corpus_id           uuid NOT NULL,
    chunking_fp         text NOT NULL,
    chunk_count         int NOT NULL,
    token_count         bigint NOT NULL,
    UNIQUE (document_version_id, chunking_fp)
);

CREATE TABLE cixml.chunks (
    chunk_set_id bigint NOT NULL REFERENCES cixml.chunk_sets,
    ordinal      int NOT NULL,
    corpus_id    uuid NOT NULL,
    chunk_id     uuid NOT NULL,
    chunk_hash   uuid NOT NULL,
    start_offset int NOT NULL,
    end_offset   int NOT NULL,
    token_count  int NOT NULL,
    heading      text,
    text         text NOT NULL,
    PRIMARY KEY (chunk_set_id, ordinal)
);
CREATE INDEX ix_chunks__corpus_id_chunk_hash ON cixml.chunks (corpus_id, chunk_hash);

CREATE TABLE cixml.usage_ledger (
    caller_id  text NOT NULL,
    model_id   smallint NOT NULL REFERENCES cixml.models,
    chunk_hash uuid NOT NULL,
    corpus_id  uuid NOT NULL,
    tokens     int NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller_id, model_id, chunk_hash)
);

-- What a batch works on: the version its item fetched, or the live one where a backfill took the document.
CREATE VIEW cixml.batch_documents WITH (security_invoker = true) AS
    SELECT l.batch_id, l.corpus_id, l.item_id, l.caller_id, l.url_key,
           coalesce(i.document_id, d.id) AS document_id,
           CASE WHEN l.item_id IS NULL THEN d.live_version_id ELSE i.document_version_id END AS document_version_id
    FROM cixml.leases l
    LEFT JOIN cixml.job_items i ON i.id = l.item_id
    LEFT JOIN cixml.documents d ON d.corpus_id = l.corpus_id AND d.url_key = l.url_key
    WHERE i.finished_at IS NULL;

-- Isolation ----------------------------------------------------------------------------------------------------------
-- The api login sees the rows of the caller set in its transaction and nothing else; the pipeline and the owner see all.

-- The corpora that the caller may see, or of these the one in cixml.corpus_id where that is set (it narrows, never
-- widens). Policies ask once a statement instead of once a row: as a subquery on corpora they cost a search 7 ms of
-- planning and a scan of everybody's corpora.
CREATE FUNCTION cixml.visible_corpora() RETURNS uuid[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    SET plan_cache_mode = force_generic_plan -- the login's custom plans would be made at each call: 0.19 ms, not 0.04
    AS $$
    DECLARE
        me  text := cixml.caller();
        one uuid := nullif(current_setting('cixml.corpus_id', true), '');
    BEGIN
        IF one IS NULL THEN
            RETURN ARRAY(SELECT id FROM corpora WHERE owner = me
                         UNION SELECT corpus_id FROM grants WHERE caller_id = me);
        END IF;
        RETURN ARRAY(SELECT id FROM corpora WHERE id = one AND (owner = me
                         OR EXISTS (SELECT FROM grants g WHERE g.corpus_id = one AND g.caller_id = me)));
    END $$;

DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['callers', 'corpora', 'grants', 'index_versions', 'jobs', 'job_items', 'work_queue',
        'batches', 'leases', 'page_bodies', 'documents', 'document_versions', 'chunk_sets', 'chunks', 'usage_ledger']
    LOOP
        EXECUTE format('ALTER TABLE cixml.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner_sees_all ON cixml.%I TO CURRENT_USER USING (true)', relation);
        EXECUTE format('CREATE POLICY pipeline_sees_all ON cixml.%I TO cixml_pipeline USING (true)', relation);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['callers', 'grants', 'usage_ledger']
    LOOP
        EXECUTE format('CREATE POLICY own_rows ON cixml.%I TO cixml_api USING (caller_id = (SELECT cixml.caller()))', relation);
    END LOOP;
    -- Foreign keys do not ask policies: without the check, a row could name another caller's corpus.
    FOREACH relation IN ARRAY ARRAY['jobs', 'job_items', 'work_queue']
    LOOP
        EXECUTE format('CREATE POLICY own_rows ON cixml.%I TO cixml_api USING (caller_id = (SELECT cixml.caller())) '
            'WITH CHECK (caller_id = (SELECT cixml.caller()) '
            'AND corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]))', relation);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['index_versions', 'documents', 'document_versions', 'chunk_sets', 'chunks']
    LOOP
        EXECUTE format('CREATE POLICY rows_of_visible_corpora ON cixml.%I TO cixml_api '
            'USING (corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]))', relation);
    END LOOP;
END $$;
CREATE POLICY written_by_the_owner ON cixml.index_versions AS RESTRICTIVE FOR INSERT TO cixml_api
    WITH CHECK (EXISTS (SELECT 1 FROM cixml.corpora c WHERE c.id = corpus_id AND c.owner = (SELECT cixml.caller())));
CREATE POLICY own_or_granted ON cixml.corpora TO cixml_api
    USING (owner = (SELECT cixml.caller())
        OR EXISTS (SELECT 1 FROM cixml.grants g WHERE g.corpus_id = id AND g.caller_id = (SELECT cixml.caller())))
    WITH CHECK (owner = (SELECT cixml.caller()));

GRANT SELECT, INSERT ON cixml.callers, cixml.corpora, cixml.index_versions, cixml.jobs, cixml.job_items, cixml.work_queue
    TO cixml_api;
GRANT SELECT ON cixml.models, cixml.grants, cixml.documents, cixml.document_versions, cixml.chunk_sets, cixml.chunks,
    cixml.usage_ledger TO cixml_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cixml TO cixml_pipeline;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA cixml TO cixml_pipeline;

-- Numbers over all callers for /metrics and /healthz: counts alone, no caller.
CREATE FUNCTION cixml.queue_numbers()
    RETURNS TABLE (ready bigint, waiting bigint, leased bigint, oldest_seconds double precision, live_slots bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        SELECT (SELECT count(*) FROM work_queue WHERE ready_at <= now()),
               (SELECT count(*) FROM work_queue WHERE ready_at > now()),
               (SELECT count(*) FROM leases WHERE item_id IS NOT NULL),
               coalesce(extract(epoch FROM now() - (SELECT min(enqueued_at) FROM work_queue)), 0),
               (SELECT coalesce(sum(slots), 0) FROM workers WHERE seen_at > now() - interval '15 seconds')
    $$;
REVOKE ALL ON FUNCTION cixml.queue_numbers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.queue_numbers() TO cixml_api, cixml_pipeline;
