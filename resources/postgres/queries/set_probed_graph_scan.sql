SELECT set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true),
       set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %(ef_search)s, true)
