-- No row when there is no such corpus, or the caller may not see it.
SELECT c.id, c.owner, c.name, CASE WHEN c.owner = cixml.caller() THEN 'owner' ELSE (
    SELECT g.role FROM cixml.grants g WHERE g.corpus_id = c.id AND g.caller_id = cixml.caller()) END AS role
FROM cixml.corpora c
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
