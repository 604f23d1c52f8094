"""The run tags the product sets and reads. No URL, page text or key ever goes into one: the UI shows them all."""

BATCH = "cixml/batch"
PROMOTION = "cixml/promotion"
INDEX_VERSION = "cixml/index_version"
CORPUS = "cixml/corpus"
TRACE = "cixml/trace"
"""The id of the trace that the run is in: `cixml trace --trace-id`."""
QUEUE = "cixml/queue"
PARTITION = "dagster/partition"
MAX_RETRIES = "dagster/max_retries"

INGEST_QUEUE = "ingest"
BACKFILL_QUEUE = "backfill"
