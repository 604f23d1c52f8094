UPDATE cixml.corpus_levels SET checked_at = now(), check_seconds = %(check_seconds)s, findings = %(findings)s
WHERE corpus_id = %(corpus_id)s AND chunking_fp = %(chunking_fp)s
