SELECT DISTINCT w.word
FROM unnest(%(words)s::text[], %(dictionaries)s::text[]) AS w (word, dictionary)
WHERE ts_lexize(w.dictionary::regdictionary, w.word) = '{}'
