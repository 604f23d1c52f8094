-- What keyword search reads: the lexemes of each chunk (resources/lexemes.py makes them), in a narrow table, so that ranking does
-- not drag the text through the cache. A lexeme has as many positions as it occurs. One more names the corpus, so that one
-- index finds corpus and words together.

CREATE TABLE cixml.chunk_lexemes (
    chunk_set_id bigint NOT NULL REFERENCES cixml.chunk_sets ON DELETE CASCADE,
    ordinal      int NOT NULL,
    corpus_id    uuid NOT NULL,
    length       int NOT NULL, -- in tokens of the chunk, so that corpus_levels has the sum of what is live
    lexemes      tsvector NOT NULL,
    PRIMARY KEY (chunk_set_id, ordinal)
);
ALTER TABLE cixml.chunk_lexemes ALTER lexemes SET STORAGE MAIN;
-- New entries wait in a short list: a batch's are merged at once, and a search never reads far through them.
CREATE INDEX ix_chunk_lexemes__lexemes ON cixml.chunk_lexemes USING gin (lexemes) WITH (gin_pending_list_limit = 256);

-- Chunk sets that were stored before have none yet: lifeline makes them, a slice at a time.
ALTER TABLE cixml.chunk_sets ADD has_lexemes boolean NOT NULL DEFAULT false;
CREATE INDEX ix_chunk_sets__without_lexemes ON cixml.chunk_sets (id) WHERE NOT has_lexemes;

-- The languages of a corpus whose stemmers were used: a question is stemmed by each of them.
CREATE TABLE cixml.corpus_languages (
    corpus_id uuid NOT NULL REFERENCES cixml.corpora,
    language  text NOT NULL,
    PRIMARY KEY (corpus_id, language)
);

-- In how many live chunks of a large corpus a lexeme is, as counted last; small corpora are counted by each search.
CREATE TABLE cixml.lexeme_counts (
    corpus_id uuid NOT NULL REFERENCES cixml.corpora,
    lexeme    text NOT NULL,
    chunks    int NOT NULL,
    PRIMARY KEY (corpus_id, lexeme)
);
ALTER TABLE cixml.corpus_levels ADD counted_chunks bigint;
COMMENT ON COLUMN cixml.corpus_levels.counted_chunks IS 'chunks when lexeme_counts was written, null before the first time';

DO $$
DECLARE relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['chunk_lexemes', 'corpus_languages', 'lexeme_counts'] LOOP
        EXECUTE format('ALTER TABLE cixml.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner_sees_all ON cixml.%I TO CURRENT_USER USING (true)', relation);
        EXECUTE format('CREATE POLICY pipeline_sees_all ON cixml.%I TO cixml_pipeline USING (true)', relation);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON cixml.%I TO cixml_pipeline', relation);
    END LOOP;
END $$;

-- Counts anew. Of a corpus with more than 50,000 chunks every n-th chunk set is read: what is rare may be missing then, and
-- counts as one chunk. Takes a second of the server.
CREATE FUNCTION cixml.count_lexemes(corpus uuid, fingerprint text) RETURNS void
    LANGUAGE plpgsql SET search_path = cixml, pg_temp
    AS $$
    DECLARE step int;
    BEGIN
        SELECT greatest(1, ceil(l.chunks / 50000.0)) INTO STRICT step
        FROM corpus_levels l WHERE l.corpus_id = corpus AND l.chunking_fp = fingerprint;
        DELETE FROM lexeme_counts WHERE corpus_id = corpus;
        INSERT INTO lexeme_counts (corpus_id, lexeme, chunks)
        SELECT corpus, word, ndoc * step
        FROM ts_stat(format('SELECT l.lexemes FROM cixml.documents d '
            'JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %L '
            'JOIN cixml.chunk_lexemes l ON l.chunk_set_id = s.id '
            'WHERE d.corpus_id = %L AND d.deleted_at IS NULL AND s.id %% %s = 0', fingerprint, corpus, step))
        WHERE word NOT LIKE 'c:%';
        UPDATE corpus_levels SET counted_chunks = chunks WHERE corpus_id = corpus AND chunking_fp = fingerprint;
    END $$;
REVOKE ALL ON FUNCTION cixml.count_lexemes(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.count_lexemes(uuid, text) TO cixml_pipeline;
