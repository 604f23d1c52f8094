-- Read by the policies until this transaction ends. A corpus narrows what the caller sees; '' does not.
SELECT set_config('cixml.caller_id', %s, true), set_config('cixml.corpus_id', %s, true)
