-- Until this transaction ends: dead and filtered rows are passed over instead of counted (else a search comes back short).
SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %(ef_search)s, true)
