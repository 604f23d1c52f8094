-- Noted once the graph was asked and finds enough.
SELECT built_rows > 0 FROM cixml.index_versions WHERE id = %(index_version_id)s
