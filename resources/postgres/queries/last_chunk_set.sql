-- Under the corpus's lock: all chunk sets of the corpus up to this one are committed, and all that come are above it.
SELECT coalesce(max(id), 0) FROM cixml.chunk_sets
