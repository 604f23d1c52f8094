-- In the corpus's hold: rows of a deleted one would stay for ever.
SELECT cixml.count_lexemes(%(corpus_id)s, %(chunking_fp)s) WHERE cixml.hold_corpus(%(corpus_id)s)
