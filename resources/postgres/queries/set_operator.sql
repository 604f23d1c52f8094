-- Read by the policy of the audit record until this transaction ends.
SELECT set_config('cixml.operator', 'on', true)
