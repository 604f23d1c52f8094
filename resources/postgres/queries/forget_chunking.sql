-- What else is kept of a way to cut that no version has any more.
WITH gone AS (
    SELECT v.corpus_id, v.chunking_fp FROM cixml.index_versions v
    WHERE v.id = %(index_version_id)s AND NOT EXISTS (
        SELECT FROM cixml.index_versions o
        WHERE o.corpus_id = v.corpus_id AND o.chunking_fp = v.chunking_fp AND o.id <> v.id AND (o.released_at IS NULL OR o.state <> 'retired'))
), texts AS (
    DELETE FROM cixml.kept_texts t USING gone g WHERE t.corpus_id = g.corpus_id AND t.chunking_fp = g.chunking_fp
)
DELETE FROM cixml.corpus_levels l USING gone g WHERE l.corpus_id = g.corpus_id AND l.chunking_fp = g.chunking_fp
