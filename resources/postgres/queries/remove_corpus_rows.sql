-- What is left of a deleted corpus beside its documents. Its own row stays: jobs are their callers' record, and name it.
WITH stale AS (
    DELETE FROM cixml.stale_hashes WHERE corpus_id = %(corpus_id)s
), levels AS (
    DELETE FROM cixml.corpus_levels WHERE corpus_id = %(corpus_id)s
), counted AS (
    DELETE FROM cixml.lexeme_counts WHERE corpus_id = %(corpus_id)s
), spoken AS (
    DELETE FROM cixml.corpus_languages WHERE corpus_id = %(corpus_id)s
), labelled AS (
    DELETE FROM cixml.labels WHERE corpus_id = %(corpus_id)s
), left_over AS (
    DELETE FROM cixml.leases WHERE corpus_id = %(corpus_id)s
), given AS (
    DELETE FROM cixml.grants WHERE corpus_id = %(corpus_id)s RETURNING 1
), versions AS (
    DELETE FROM cixml.index_versions WHERE corpus_id = %(corpus_id)s RETURNING 1
)
SELECT (SELECT count(*) FROM versions) AS index_versions, (SELECT count(*) FROM given) AS grants
