-- Nearest first, as a search ranks them (search_hnsw.sql).
SELECT distance FROM (
    SELECT e.embedding <#> %(vector)b AS distance FROM {relation} e ORDER BY {nearness} LIMIT %(near)s
) near
ORDER BY distance LIMIT %(top_k)s
