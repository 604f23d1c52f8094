SELECT relation FROM cixml.models
