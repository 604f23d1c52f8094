SELECT EXISTS (
    SELECT FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_am a ON a.oid = k.relam
    WHERE i.indrelid = to_regclass('cixml.' || quote_ident(%(relation)s || '_graph')) AND a.amname = 'hnsw' AND i.indisvalid)
