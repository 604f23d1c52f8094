-- Bodies after `after`, of which `limit` are looked at, that no version refers to; and where the look ended.
WITH slice AS MATERIALIZED (
    SELECT sha256 FROM cixml.page_bodies WHERE sha256 > %(after)s ORDER BY sha256 LIMIT %(limit)s
)
SELECT (SELECT sha256 FROM slice ORDER BY sha256 DESC LIMIT 1) AS after,
       ARRAY(SELECT sha256 FROM slice s
             WHERE NOT EXISTS (SELECT FROM cixml.document_versions v WHERE v.body_sha256 = s.sha256)
             ORDER BY sha256 LIMIT %(orphans)s) AS orphans
