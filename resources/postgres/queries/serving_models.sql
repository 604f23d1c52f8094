SELECT name, fingerprint, corpora FROM cixml.serving_models()
