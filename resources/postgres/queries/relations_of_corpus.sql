-- Where the corpus has vectors: a relation of its own that is being built is nobody's yet.
SELECT DISTINCT relation FROM cixml.index_versions
WHERE corpus_id = %(corpus_id)s AND state <> 'retired' AND NOT (state = 'building' AND kind = 'hnsw')
