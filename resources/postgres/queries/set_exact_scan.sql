-- Until this transaction ends: nothing but the vectors decides.
SELECT set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'on', true)
