-- Beside the caller (set_caller.sql): the login's force_custom_plan makes foreign keys plan their check anew for each
-- row; without it 1,000 items take 65 ms instead of 115.
SELECT set_config('cixml.caller_id', %s, true), set_config('cixml.corpus_id', '', true),
       set_config('plan_cache_mode', 'auto', true)
