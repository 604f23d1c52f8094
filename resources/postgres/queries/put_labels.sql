INSERT INTO cixml.labels (corpus_id, ordinal, query, relevant)
SELECT %(corpus_id)s, l.ordinal, l.entry ->> 'query', ARRAY(SELECT jsonb_array_elements_text(l.entry -> 'relevant'))
FROM jsonb_array_elements(%(labels)s) WITH ORDINALITY AS l (entry, ordinal)
WHERE cixml.hold_corpus(%(corpus_id)s)
