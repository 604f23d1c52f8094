SELECT count(*) FROM (
    SELECT FROM cixml.corpora c
    WHERE c.owner = cixml.caller() AND c.deleted_at IS NULL
    LIMIT %(cap)s
) found
