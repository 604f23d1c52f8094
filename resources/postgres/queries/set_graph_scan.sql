-- Until this transaction ends. Dead and filtered rows are passed over instead of counted, or a search would come back short.
-- The statement has one plan whatever its values, and planning costs twice what it runs for: 6 ms against 2.
SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %(ef_search)s, true),
       set_config('hnsw.max_scan_tuples', %(max_scan_tuples)s, true),
       set_config('plan_cache_mode', 'force_generic_plan', true)
