-- How many batches may be claimed now: one per free slot, so a claim never waits long for its run.
-- A backfill or a refresh, started by Dagster's own queue, holds a slot while it has a batch.
SELECT
    greatest(0, coalesce((SELECT sum(slots) FROM cixml.workers
                          WHERE 'ingest' = ANY (queues) AND seen_at > now() - interval '15 seconds'), 0)
                - (SELECT count(*) FROM cixml.batches WHERE finished_at IS NULL AND kind <> 'ingest'))::int AS slots,
    (SELECT count(*) FROM cixml.batches WHERE finished_at IS NULL AND kind = 'ingest')::int AS open_batches,
    (SELECT count(*) FROM cixml.batches
     WHERE finished_at IS NULL AND kind = 'ingest' AND items > %(small_batch_items)s)::int AS large_batches
