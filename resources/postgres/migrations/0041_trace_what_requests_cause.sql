-- The span of the request that asked for a deletion, or for an index version to be built or to serve (the latest): what is done for
-- it afterwards is in its trace, as for jobs.
ALTER TABLE cixml.receipts ADD traceparent text;
GRANT INSERT (traceparent) ON cixml.receipts TO cixml_api;
ALTER TABLE cixml.index_versions ADD traceparent text;
GRANT UPDATE (traceparent) ON cixml.index_versions TO cixml_api;
