-- A graph whose corpus was rewritten keeps the room of what left it: one that has grown over what it was built with is built anew.
ALTER TABLE cixml.index_versions ADD built_bytes_a_row real;
COMMENT ON COLUMN cixml.index_versions.built_bytes_a_row IS 'of the relation and its indexes, when the graph was built';
