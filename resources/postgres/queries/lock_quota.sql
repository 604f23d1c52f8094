-- Submissions of one caller take turns from here to their commit: the next one counts what this one adds.
SELECT pg_advisory_xact_lock(hashtextextended('cixml quota ' || cixml.caller(), 0))
