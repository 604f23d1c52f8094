-- Vectors that are not in the graph.
SELECT count(*) FROM ONLY {relation}
