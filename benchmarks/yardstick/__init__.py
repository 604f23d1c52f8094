"""The yardstick: a plain FastAPI + Celery + Redis pipeline of the same stages, which the product is held against.

It is what a team writes first: one job row a URL, three queues with late acknowledgement, an orchestrator that is told
by HTTP callbacks what has ended and locks the job's row to answer, pgvector with an HNSW index that is kept while rows
come. It is meant to be written decently and to be left untuned; docs/benchmarks.md says what it does not do.

From the product it takes what makes the comparison fair: the model's registry entry and its tokenizer. Its Postgres and
Valkey are the embedded stack's binaries with the embedded stack's settings.
"""
