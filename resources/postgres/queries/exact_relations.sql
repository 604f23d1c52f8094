SELECT DISTINCT relation FROM cixml.index_versions WHERE kind = 'exact' AND released_at IS NULL ORDER BY relation
