-- The chunks around some hits: from `reach` before to `reach` after, of the same cut of the same version.
SELECT v.id AS version_id, h.ordinal AS around, k.chunk_id, k.ordinal, k.text, k.start_offset, k.end_offset
FROM unnest(%(version_ids)s::uuid[], %(ordinals)s::int[]) AS h (version_id, ordinal)
JOIN cixml.document_versions v ON v.id = h.version_id
JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = %(chunking_fp)s
JOIN cixml.chunks k ON k.chunk_set_id = s.id AND k.ordinal BETWEEN h.ordinal - %(reach)s AND h.ordinal + %(reach)s
                    AND k.ordinal <> h.ordinal
ORDER BY h.version_id, h.ordinal, k.ordinal
