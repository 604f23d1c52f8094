-- How many batches may be claimed now. Admission is the free slots + 1, so a claim never waits long for its run.
SELECT
    coalesce((SELECT sum(slots) FROM cixml.workers
              WHERE 'ingest' = ANY (queues) AND seen_at > now() - interval '15 seconds'), 0)::int AS slots,
    (SELECT count(*) FROM cixml.batches WHERE finished_at IS NULL AND kind <> 'backfill')::int AS open_batches,
    (SELECT count(*) FROM cixml.batches
     WHERE finished_at IS NULL AND kind <> 'backfill' AND items > %(small_batch_items)s)::int AS large_batches
