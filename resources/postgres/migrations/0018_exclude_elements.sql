-- What is left out of the pages of a corpus that are read from then on: elements by tag and by class.
ALTER TABLE cixml.corpora ADD exclusions jsonb NOT NULL DEFAULT '{"tags": [], "classes": []}';
GRANT UPDATE (exclusions) ON cixml.corpora TO cixml_api;
