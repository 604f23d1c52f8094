SELECT name, checksum FROM cixml.schema_migrations ORDER BY name
