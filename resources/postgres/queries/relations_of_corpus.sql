SELECT DISTINCT relation FROM cixml.index_versions WHERE corpus_id = %(corpus_id)s AND state <> 'retired'
