SELECT name FROM cixml.schema_migrations
