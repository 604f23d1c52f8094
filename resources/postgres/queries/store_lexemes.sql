WITH spoken AS (
    INSERT INTO cixml.corpus_languages (corpus_id, language)
    SELECT DISTINCT %(corpus_id)s::uuid, language FROM unnest(%(languages)s::text[]) AS language ORDER BY language
    ON CONFLICT DO NOTHING
)
INSERT INTO cixml.chunk_lexemes (chunk_set_id, ordinal, corpus_id, length, lexemes)
SELECT k.chunk_set_id, k.ordinal, %(corpus_id)s, k.length, k.lexemes::tsvector
FROM unnest(%(chunk_set_ids)s::bigint[], %(ordinals)s::int[], %(lengths)s::int[], %(lexemes)s::text[])
    AS k (chunk_set_id, ordinal, length, lexemes)
