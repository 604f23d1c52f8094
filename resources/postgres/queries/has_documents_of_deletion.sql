SELECT EXISTS (SELECT FROM cixml.documents WHERE receipt_id = %(receipt_id)s)
    OR EXISTS (SELECT FROM cixml.documents WHERE corpus_id = %(whole_corpus)s)
