DELETE FROM cixml.leases WHERE batch_id = %(batch_id)s
