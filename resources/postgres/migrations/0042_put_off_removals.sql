-- A page that can't be deleted now is put off, so that it keeps no other waiting.
ALTER TABLE cixml.removed_pages ADD COLUMN ready_at timestamptz NOT NULL DEFAULT '-infinity';
