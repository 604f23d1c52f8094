UPDATE cixml.removed_pages SET ready_at = now() + make_interval(secs => %(seconds)s) WHERE item_id = %(item_id)s
