-- Asks again under the lock: a page may have come with these bytes.
DELETE FROM cixml.page_bodies b
WHERE b.sha256 = ANY (%(orphans)s) AND NOT EXISTS (SELECT FROM cixml.document_versions v WHERE v.body_sha256 = b.sha256)
