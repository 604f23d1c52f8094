-- The owner's functions make and drop what `relation` names, and more logins than the pipeline's may write this table.
ALTER TABLE cixml.index_versions ADD CONSTRAINT own_relation_is_named_after_its_version
    CHECK (kind = 'exact' OR relation = 'vectors_' || replace(id::text, '-', ''));
