-- For this transaction. No parallel worker: on two cores it makes searches five times slower, and itself too.
SELECT set_config('maintenance_work_mem', %(kilobytes)s || 'kB', true),
       set_config('max_parallel_maintenance_workers', '0', true)
