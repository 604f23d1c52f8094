-- How far a fill that cuts texts anew is, before there is a chunk to embed.
ALTER TABLE cixml.index_versions ADD documents_cut int NOT NULL DEFAULT 0;
UPDATE cixml.index_versions SET documents_cut = documents_total;
