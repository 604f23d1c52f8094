-- The yardstick's tables. `embeddings` is the embedding service's own: it holds all that a search answers.
CREATE TABLE jobs (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    submission   uuid NOT NULL,          -- the POST that made it
    caller_id    text NOT NULL,
    corpus       text NOT NULL,
    url          text NOT NULL,
    status       text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'succeeded', 'failed')),
    stage        text NOT NULL DEFAULT 'scraping' CHECK (stage IN ('scraping', 'chunking', 'embedding')),
    failed_stage text,
    error        jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_jobs__submission ON jobs (submission);
CREATE INDEX ix_jobs__caller_id_created_at ON jobs (caller_id, created_at);
CREATE INDEX ix_jobs__status_updated_at ON jobs (status, updated_at);
CREATE INDEX ix_jobs__failed_stage ON jobs (failed_stage) WHERE status = 'failed';

CREATE TABLE documents (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    corpus     text NOT NULL,
    url        text NOT NULL,
    job_id     uuid NOT NULL REFERENCES jobs,   -- the last job that scraped it
    text       text NOT NULL,
    indexed_at timestamptz,
    UNIQUE (corpus, url)
);
CREATE INDEX ix_documents__job_id ON documents (job_id);

CREATE TABLE chunks (
    document_id bigint NOT NULL REFERENCES documents,
    ordinal     int NOT NULL,
    text        text NOT NULL,
    token_count int NOT NULL,
    PRIMARY KEY (document_id, ordinal)
);

CREATE TABLE embeddings (
    id        uuid PRIMARY KEY,            -- made of corpus, URL and ordinal, so that a repeated task writes no doubles
    corpus    text NOT NULL,
    url       text NOT NULL,
    ordinal   int NOT NULL,
    text      text NOT NULL,
    embedding vector(1024) NOT NULL
);
CREATE INDEX ix_embeddings__corpus_url ON embeddings (corpus, url);
CREATE INDEX ix_embeddings__embedding ON embeddings USING hnsw (embedding vector_cosine_ops);
