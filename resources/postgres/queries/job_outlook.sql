-- What is told of one job beside its items: the queue before it, why its items wait, and the runs that took them last.
SELECT o.ahead_of_you, o.your_share, o.eta_seconds, w.waiting, r.runs
FROM cixml.jobs j
LEFT JOIN LATERAL cixml.job_outlook(j.id) o ON true
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(g) ORDER BY g.items DESC, g.reason), '[]') AS waiting
    FROM (SELECT coalesce(i.waiting_reason, CASE WHEN o.has_worker THEN 'queue' ELSE 'no_worker' END) AS reason,
                 count(*) AS items, min(i.next_attempt_at) AS next_attempt_at
          FROM cixml.job_items i WHERE i.job_id = j.id AND i.status = 'queued' GROUP BY 1) g
) w
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(g)), '[]') AS runs
    FROM (SELECT b.run_id, c.partition_key AS partition, b.state, count(*) AS items, b.started_at, b.finished_at
          FROM cixml.job_items i
          JOIN cixml.batches b ON b.id = i.batch_id
          JOIN cixml.corpora c ON c.id = b.corpus_id
          WHERE i.job_id = j.id AND b.run_id IS NOT NULL
          GROUP BY b.id, c.partition_key ORDER BY b.id DESC LIMIT 20) g
) r
WHERE j.id = %(job_id)s
