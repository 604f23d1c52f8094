-- How many batches may be claimed now: one per free slot, so a claim never waits long for its run.
-- A run of a backfill or a refresh, started by Dagster's own queue, holds one slot, however many batches it has open.
SELECT
    greatest(0, coalesce((SELECT sum(slots) FROM cixml.workers
                          WHERE 'ingest' = ANY (queues) AND seen_at > now() - interval '15 seconds'), 0)
                - (SELECT count(DISTINCT run_id) FROM cixml.batches WHERE finished_at IS NULL AND kind <> 'ingest'))::int AS slots,
    (SELECT count(*) FROM cixml.batches WHERE finished_at IS NULL AND kind = 'ingest')::int AS open_batches,
    (SELECT count(*) FROM cixml.batches
     WHERE finished_at IS NULL AND kind = 'ingest' AND items > %(small_batch_items)s)::int AS large_batches
