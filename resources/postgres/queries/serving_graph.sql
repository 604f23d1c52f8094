-- What serves a corpus by a graph, and what has become of the graph.
SELECT x.id AS index_version_id, x.relation, m.dimension, x.built_rows, x.merged_rows, x.dead_rows
FROM cixml.index_versions x JOIN cixml.models m ON m.id = x.model_id
WHERE x.corpus_id = %(corpus_id)s AND x.state = 'serving' AND x.kind = 'hnsw'
