"""What the state folder keeps, and how private it is."""

from __future__ import annotations

import stat
from pathlib import Path

from cixml.embedded.accounts import Account, can_reach, shelter
from cixml.embedded.files import write_atomically
from cixml.embedded.state import Home, Kept, load_kept, save_kept, settle_sockets


def test_passwords_and_ports_are_chosen_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = load_kept(home)
    save_kept(home, first.model_copy(update={"ports": {"api": 20_001}}))
    again = load_kept(home)
    assert again.owner_password == first.owner_password
    assert again.ports == {"api": 20_001}
    assert stat.S_IMODE(home.state_file.stat().st_mode) == 0o600


def test_nobody_else_looks_into_a_folder_but_postgres_into_its_own(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.root / "logs").mkdir(mode=0o755, parents=True)  # of a version before
    home.make_folders()
    modes = {folder.name: stat.S_IMODE(folder.stat().st_mode) for folder in (home.root, *home.root.iterdir())}
    assert {name for name, mode in modes.items() if mode == 0o711} == {"home", "postgres"}
    assert {name for name, mode in modes.items() if mode == 0o700} == {"valkey", "dagster", "logs", "run", "metrics"}


def test_every_password_differs() -> None:
    kept = Kept()
    secrets = [value for value in kept.model_dump().values() if isinstance(value, str)]
    assert len(set(secrets)) == len(secrets) == 8


def test_sockets_get_a_short_folder_that_is_kept(tmp_path: Path) -> None:
    kept = settle_sockets(Kept())
    assert kept.sockets is not None
    try:
        assert len(str(kept.sockets / "postgres" / ".s.PGSQL.12345.lock")) < 107
        assert settle_sockets(kept).sockets == kept.sockets
    finally:
        kept.sockets.rmdir()
    moved = settle_sockets(kept)
    assert moved.sockets is not None
    assert moved.sockets != kept.sockets
    moved.sockets.rmdir()


def test_a_write_replaces_the_file_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_folder_above_is_noticed_and_left_alone(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    stranger = Account(uid=private.stat().st_uid + 4_000, gid=private.stat().st_gid + 4_000)
    assert not can_reach(private / "data", stranger)
    assert can_reach(private / "data", None)
    assert shelter(private, None) == private / "postgres"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_the_end_of_a_log_is_short(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make_folders()
    assert home.log_tail("api") == "(no log yet)"
    (home.logs / "api.log").write_text("\n".join(map(str, range(100))))
    assert home.log_tail("api", lines=2) == "98\n99"
