INSERT INTO cixml.beats (part, seen_at) VALUES (%(part)s, clock_timestamp())
ON CONFLICT (part) DO UPDATE SET seen_at = excluded.seen_at
