-- Where a hit comes from: a chunk is found by its public id, and a version and a chunk set know the item and the batch that stored
-- them. Nothing here is a foreign key: items and batches may go before.
CREATE INDEX ix_chunks__chunk_id ON cixml.chunks (chunk_id);
ALTER TABLE cixml.document_versions ADD item_id uuid, ADD batch_id uuid, ADD robots jsonb;
ALTER TABLE cixml.chunk_sets ADD batch_id uuid, ADD stored_at timestamptz DEFAULT now();
UPDATE cixml.chunk_sets SET stored_at = NULL;
