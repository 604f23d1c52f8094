SELECT ready, waiting, leased, oldest_seconds, live_slots FROM cixml.queue_numbers()
