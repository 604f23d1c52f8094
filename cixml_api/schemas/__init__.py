"""The bodies of requests and answers: a contract. Additive changes only; values of enums may be added.

Requests refuse unknown fields and do not convert (the string "10" is no number).
"""

from cixml_api.schemas.audit import AuditEntry, AuditList
from cixml_api.schemas.common import CORPUS_NAME, Answer, ErrorRecord, ListMetadata, Problem, ProblemField, Request
from cixml_api.schemas.corpora import ActiveIndex, Corpus, CorpusCounts, CorpusList, Document, DocumentList, Freshness
from cixml_api.schemas.health import BreakerHealth, Health, Live, MembershipHealth, PartHealth, QueueHealth, Ready
from cixml_api.schemas.jobs import (
    ChunkCounts,
    HttpRecord,
    Item,
    ItemCounts,
    ItemList,
    Job,
    JobLinks,
    JobList,
    JobRequest,
    RetryRequest,
    UrlEntry,
    Usage,
)
from cixml_api.schemas.limits import Allowance, Quota
from cixml_api.schemas.search import (
    Offsets,
    QueryRecord,
    Scores,
    SearchAnswer,
    SearchRequest,
    SearchResult,
    TookMilliseconds,
)

__all__ = [
    "CORPUS_NAME",
    "ActiveIndex",
    "Allowance",
    "Answer",
    "AuditEntry",
    "AuditList",
    "BreakerHealth",
    "ChunkCounts",
    "Corpus",
    "CorpusCounts",
    "CorpusList",
    "Document",
    "DocumentList",
    "ErrorRecord",
    "Freshness",
    "Health",
    "HttpRecord",
    "Item",
    "ItemCounts",
    "ItemList",
    "Job",
    "JobLinks",
    "JobList",
    "JobRequest",
    "ListMetadata",
    "Live",
    "MembershipHealth",
    "Offsets",
    "PartHealth",
    "Problem",
    "ProblemField",
    "QueryRecord",
    "QueueHealth",
    "Quota",
    "Ready",
    "Request",
    "RetryRequest",
    "Scores",
    "SearchAnswer",
    "SearchRequest",
    "SearchResult",
    "TookMilliseconds",
    "UrlEntry",
    "Usage",
]
