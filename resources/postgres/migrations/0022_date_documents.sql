-- When a page says that it was published; NULL where it says nothing. Found with its text layer.
ALTER TABLE cixml.document_versions ADD published_at timestamptz;
