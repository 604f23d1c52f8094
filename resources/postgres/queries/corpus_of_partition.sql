SELECT id, owner, name, partition_key, created_at FROM cixml.corpora
WHERE partition_key = %(partition_key)s AND deleted_at IS NULL
