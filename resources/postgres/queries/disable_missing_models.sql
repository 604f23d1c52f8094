UPDATE cixml.models SET is_enabled = false
WHERE is_enabled AND fingerprint <> ALL (%(fingerprints)s)
