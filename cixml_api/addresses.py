"""How a caller names a corpus: an own one by its name, a granted one as `owner:name`."""

from __future__ import annotations

import re
from collections.abc import Collection

from cixml_api.schemas import CORPUS_ADDRESS
from resources.errors import ForbiddenError, NotFoundError
from resources.postgres.corpora import CorpusAccess, CorpusKey, get_access
from resources.postgres.pool import Pool, connected
from resources.types import CallerContext

READERS: Collection[str] = ("reader", "writer", "owner")
WRITERS: Collection[str] = ("writer", "owner")
OWNERS: Collection[str] = ("owner",)


def corpus_key(caller: CallerContext, address: str) -> CorpusKey:
    """Return which corpus an address names. Raises NotFoundError for text that can name none."""
    if not re.fullmatch(CORPUS_ADDRESS, address):
        raise NotFoundError
    owner, _, name = address.rpartition(":")
    return CorpusKey(owner=owner or caller.caller_id, name=name)


def corpus_address(caller: CallerContext, *, owner: str, name: str) -> str:
    """Return the address by which this caller names a corpus."""
    return name if owner == caller.caller_id else f"{owner}:{name}"


async def find_corpus(
    pool: Pool, caller: CallerContext, address: str, *, roles: Collection[str] = READERS
) -> CorpusAccess:
    """Return the corpus for one of these roles. Raises NotFoundError, or ForbiddenError when the grant is for less."""
    key = corpus_key(caller, address)
    async with connected(pool) as connection:
        found = await get_access(connection, caller_id=caller.caller_id, key=key)
    if found is None:
        raise NotFoundError
    check_role(found.role, roles)
    return found


def check_role(role: str, roles: Collection[str]) -> None:
    """Raise ForbiddenError unless the role is one of these."""
    if role not in roles:
        raise ForbiddenError(f"This takes the role {' or '.join(roles)}; the grant is {role}: ask the corpus's owner.")
