DELETE FROM cixml.workers WHERE id = %(id)s
