DELETE FROM cixml.grants WHERE corpus_id = %(corpus_id)s AND caller_id = %(grantee)s
