INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
SELECT %(corpus_id)s, m.id, %(chunking)s, %(chunking_fp)s, m.relation, 'exact', 'building'
FROM cixml.models m WHERE m.name = %(model)s AND m.is_enabled
