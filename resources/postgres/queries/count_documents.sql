-- One row when the caller has the corpus, none otherwise.
SELECT (SELECT count(*) FROM (
            SELECT FROM cixml.documents d
            WHERE d.corpus_id = c.id AND d.live_version_id IS NOT NULL AND d.deleted_at IS NULL
            LIMIT %(cap)s
        ) found)
FROM cixml.corpora c
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
