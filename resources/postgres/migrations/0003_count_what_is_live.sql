-- What is live in a corpus, kept by delta in the transaction of each flip, so that a run's report does not count the
-- corpus again; and what its last full check found. One row per way of cutting the corpus.

-- A document's part of the sum `digest`: equal content gives an equal sum, in whatever order it came.
CREATE FUNCTION cixml.content_digest(url_key text, text_sha256 bytea) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended(url_key || coalesce(encode(text_sha256, 'hex'), ''), 0);

CREATE TABLE cixml.corpus_levels (
    corpus_id     uuid NOT NULL REFERENCES cixml.corpora,
    chunking_fp   text NOT NULL,
    documents     bigint NOT NULL,
    chunks        bigint NOT NULL,
    tokens        bigint NOT NULL,
    digest        numeric NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    checked_at    timestamptz,
    check_seconds double precision NOT NULL DEFAULT 0,
    findings      jsonb,
    PRIMARY KEY (corpus_id, chunking_fp)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE cixml.corpus_levels ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.corpus_levels TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.corpus_levels TO cixml_pipeline USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cixml.corpus_levels TO cixml_pipeline;

INSERT INTO cixml.corpus_levels (corpus_id, chunking_fp, documents, chunks, tokens, digest)
SELECT d.corpus_id, x.chunking_fp, count(*), sum(s.chunk_count), sum(s.token_count),
       sum(cixml.content_digest(d.url_key, v.text_sha256))
FROM cixml.documents d
JOIN cixml.index_versions x ON x.corpus_id = d.corpus_id AND x.state = 'serving'
JOIN cixml.document_versions v ON v.id = d.live_version_id
JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = x.chunking_fp
WHERE d.deleted_at IS NULL
GROUP BY d.corpus_id, x.chunking_fp;
