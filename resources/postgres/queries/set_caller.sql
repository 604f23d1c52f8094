SELECT set_config('cixml.caller_id', %s, true)
