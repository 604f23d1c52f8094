-- Until this transaction ends. Before its tables have statistics (a new installation, a model's first corpus) the planner takes a
-- corpus for a row or two and compares each document with each chunk set and vector: 600 chunks took 1 s. By hashes they take
-- milliseconds, with statistics as without.
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_bitmapscan', 'off', true)
