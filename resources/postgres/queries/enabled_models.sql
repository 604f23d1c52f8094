SELECT id, name, fingerprint, dimension, relation, is_enabled AS enabled
FROM cixml.models
WHERE is_enabled
ORDER BY id
