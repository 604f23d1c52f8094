INSERT INTO cixml.noted_numbers (metric, label, number, valid_until)
SELECT metric, label, number, now() + make_interval(secs => %(valid_seconds)s)
FROM unnest(%(metrics)s::text[], %(labels)s::text[], %(numbers)s::float8[]) AS n (metric, label, number)
ON CONFLICT (metric, label) DO UPDATE
SET number = excluded.number, noted_at = excluded.noted_at, valid_until = excluded.valid_until
