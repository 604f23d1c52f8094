DELETE FROM cixml.removed_pages WHERE item_id = %(item_id)s
