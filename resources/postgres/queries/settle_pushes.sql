-- Compares what was pushed with what is live now, which nobody else changes under this lease. The same bytes again are
-- `unchanged`: the item names the live version, and its own is removed. Returns those items.
WITH pushed AS MATERIALIZED (
    SELECT l.item_id, d.id AS document_id, d.live_version_id, v.id AS version_id, v.fetch_seq, v.title,
           CASE WHEN o.id IS NULL THEN 'new'
                WHEN (o.body_sha256, o.content_type) = (v.body_sha256, v.content_type) THEN 'unchanged'
                ELSE 'changed' END AS change,
           v.fetch_seq > d.fetch_seq AS is_newest
    FROM cixml.leases l
    JOIN cixml.job_items i ON i.id = l.item_id
    JOIN cixml.document_versions v ON v.id = i.document_version_id
    JOIN cixml.documents d ON d.id = v.document_id
    LEFT JOIN cixml.document_versions o ON o.id = d.live_version_id
    WHERE l.batch_id = %(batch_id)s AND i.finished_at IS NULL AND i.change IS NULL
), checked AS (
    UPDATE cixml.documents d
    SET checked_at = now(),
        fetch_seq = CASE WHEN p.change = 'unchanged' THEN greatest(d.fetch_seq, p.fetch_seq) ELSE d.fetch_seq END,
        metadata = CASE WHEN p.change = 'unchanged' AND p.is_newest THEN d.metadata || i.metadata ELSE d.metadata END
    FROM pushed p JOIN cixml.job_items i ON i.id = p.item_id
    WHERE d.id = p.document_id
), titled AS (
    UPDATE cixml.document_versions v SET title = p.title
    FROM pushed p
    WHERE v.id = p.live_version_id AND p.change = 'unchanged' AND p.is_newest AND p.title IS NOT NULL
), settled AS (
    UPDATE cixml.job_items i
    SET change = p.change,
        document_version_id = CASE WHEN p.change = 'unchanged' THEN p.live_version_id ELSE i.document_version_id END
    FROM pushed p WHERE i.id = p.item_id
), dropped AS (
    DELETE FROM cixml.document_versions v USING pushed p WHERE v.id = p.version_id AND p.change = 'unchanged'
)
SELECT item_id, document_id FROM pushed WHERE change = 'unchanged'
