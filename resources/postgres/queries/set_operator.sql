-- Read by the policies of the audit record and of usage until this transaction ends.
SELECT set_config('cixml.operator', 'on', true)
