"""The account Postgres runs under: it refuses root, so as root we take an existing account without rights.

Nothing here widens the rights of a folder that is not ours: where the account can't pass, files go elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

_NAMES = ("nobody", "daemon")
_SHELTERS = Path("/var/lib/cixml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Return the account to switch to; None when we are not root and stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    return Account(uid=65534, gid=65534)


def can_reach(path: Path, account: Account | None) -> bool:
    """Say whether `account` may pass every folder above `path`."""
    if account is None:
        return True
    return all(_may_pass(folder, account) for folder in path.absolute().parents)


def _may_pass(folder: Path, account: Account) -> bool:
    info = folder.stat()
    if info.st_uid == account.uid:
        return bool(info.st_mode & stat.S_IXUSR)
    return bool(info.st_mode & (stat.S_IXGRP if info.st_gid == account.gid else stat.S_IXOTH))


def shelter(root: Path, account: Account | None) -> Path:
    """Return a folder for Postgres' files: `root`, or where `account` can't reach that, one in /var/lib of its own."""
    if can_reach(root / "postgres" / "data", account):
        return root / "postgres"
    folder = _SHELTERS / hashlib.sha256(str(root).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def reachable_copy(installation: Path, folder: Path, account: Account | None) -> Path:
    """Return `installation`, or a copy in `folder` when `account` can't reach it. Copies again when it changed."""
    if can_reach(installation / "bin" / "postgres", account):
        return installation
    info = (installation / "bin" / "postgres").stat()
    copy = folder / f"install-{info.st_size}-{int(info.st_mtime)}"
    if not copy.exists():
        partial = folder / f"{copy.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(installation, partial, symlinks=True)
        partial.rename(copy)
    return copy
