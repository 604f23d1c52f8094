SELECT cixml.count_searches(%(caller_id)s, %(day)s, %(corpus_owner)s, %(corpus)s, %(model)s, %(searches)s, %(tokens)s)
