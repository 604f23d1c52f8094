LISTEN cixml_jobs
