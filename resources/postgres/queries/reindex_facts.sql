-- What another index of a corpus starts from.
SELECT m.name AS model, v.chunking, v.chunking_fp,
       (SELECT count(*) FROM cixml.index_versions o
        WHERE o.corpus_id = v.corpus_id AND o.state IN ('building', 'ready') AND o.fill_from IS NOT NULL) AS open_versions
FROM cixml.index_versions v JOIN cixml.models m ON m.id = v.model_id
WHERE v.corpus_id = %(corpus_id)s AND v.state = 'serving'
