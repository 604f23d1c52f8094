SELECT least(cardinality(cixml.visible_corpora()), %(cap)s)
