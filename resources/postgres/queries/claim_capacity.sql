-- How many batches may be claimed now: one per free slot, so a claim never waits long for its run.
-- A run of a backfill or a refresh, started by Dagster's own queue, holds one slot, however many batches it has open; it
-- is not one of these as far as workers for the queue backfill alone have room.
WITH living AS (
    SELECT slots, 'ingest' = ANY (queues) AS takes_ingest FROM cixml.workers WHERE seen_at > now() - interval '15 seconds'
), counted AS (
    SELECT
        coalesce(sum(slots) FILTER (WHERE takes_ingest), 0) AS slots,
        coalesce(sum(slots) FILTER (WHERE NOT takes_ingest), 0) AS elsewhere,
        (SELECT count(DISTINCT run_id) FROM cixml.batches WHERE finished_at IS NULL AND kind <> 'ingest') AS others
    FROM living
)
SELECT
    greatest(0, counted.slots - greatest(0, counted.others - counted.elsewhere))::int AS slots,
    (SELECT count(*) FROM cixml.batches WHERE finished_at IS NULL AND kind = 'ingest')::int AS open_batches,
    (SELECT count(*) FROM cixml.batches
     WHERE finished_at IS NULL AND kind = 'ingest' AND items > %(small_batch_items)s)::int AS large_batches
FROM counted
