UPDATE cixml.documents SET checked_at = %(checked_at)s WHERE id = %(document_id)s
