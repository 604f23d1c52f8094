SELECT pg_notify('cixml_jobs', '')
