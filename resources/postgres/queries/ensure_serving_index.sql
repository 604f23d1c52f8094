-- Only for the corpus this transaction made: no row of that id otherwise.
INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
SELECT c.id, m.id, %(chunking)s, %(chunking_fp)s, m.relation, 'exact', 'serving'
FROM cixml.corpora c, cixml.models m
WHERE c.id = %(corpus_id)s AND m.fingerprint = %(model_fingerprint)s
