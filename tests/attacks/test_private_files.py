"""What other users of the machine can read, enter or put in the way: the embedded Postgres and the folders above it."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from core import private_files
from core.errors import PermanentError
from core.settings import Settings
from furrow.installation.backup import restore_backup, write_backup
from stores import embedded_postgres
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="about what root does")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that is closed to all others, with folders like it below."""
    folder = Path(tempfile.mkdtemp(prefix="furrow-home-"))
    (folder / "work" / "data").mkdir(parents=True)
    for one in (folder, folder / "work", folder / "work" / "data"):
        one.chmod(0o700)
    yield folder
    shutil.rmtree(folder)


def modes(folder: Path) -> dict[Path, tuple[int, int]]:
    above = [folder, *folder.parents]
    return {one: (stat.S_IMODE(one.stat().st_mode), one.stat().st_uid) for one in above}


def answers(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().splitlines()[0])


def test_no_folder_above_is_opened(home: Path) -> None:
    data = home / "work" / "data"
    before = modes(data)
    server = EmbeddedPostgres(data / "postgres")
    server.start()
    try:
        assert answers(server)
        assert modes(data) == before
        assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    finally:
        server.stop()
    assert modes(data) == before


@AS_ROOT
def test_programs_below_a_closed_folder_are_copied_and_the_folder_stays_closed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, programs = home / "work", embedded_postgres._BIN.relative_to(embedded_postgres._BIN.parents[2])
    shutil.copytree(embedded_postgres._BIN.parent, site / programs.parent, symlinks=True)
    shutil.copytree(embedded_postgres._LIBRARIES, site / embedded_postgres._LIBRARIES.name, symlinks=True)
    place = Path(tempfile.mkdtemp(prefix="furrow-programs-"))
    place.chmod(0o755)
    monkeypatch.setattr(embedded_postgres, "_BIN", site / programs)
    monkeypatch.setattr(embedded_postgres, "_LIBRARIES", site / embedded_postgres._LIBRARIES.name)
    monkeypatch.setattr(embedded_postgres, "_PROGRAMS", place / "programs")
    before = modes(home / "work")
    old = os.umask(0o077)
    server = EmbeddedPostgres(home / "work" / "data" / "postgres")
    try:
        server.start()
        assert answers(server)
        assert modes(home / "work") == before
        # A copy that others could change is not run.
        (place / "programs").chmod(0o777)
        with pytest.raises(PermanentError, match="can be changed by others"):
            server.start()
        (place / "programs").chmod(0o755)
    finally:
        os.umask(old)
        server.stop()
        shutil.rmtree(place)


@pytest.mark.parametrize("kind", ["link", "file", "folder of another"])
def test_what_somebody_put_at_the_place_of_the_socket_is_not_used(kind: str, home: Path) -> None:
    if kind == "folder of another" and os.geteuid():
        pytest.skip("only root can make a folder of another user's: one that is not ours is then not tried")
    server = EmbeddedPostgres(home / "work" / "data" / "postgres")
    place, victim = server._socket_dir, home / "victim"
    victim.mkdir()
    before = modes(victim)
    try:
        if kind == "link":
            place.symlink_to(victim)
        elif kind == "file":
            place.write_text("")
        else:
            place.mkdir()
            os.chown(place, 12345, 12345)
        with pytest.raises(PermanentError, match="made by somebody else"):
            server.start()
        assert modes(victim) == before
    finally:
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()


def test_the_server_holds_no_secret_of_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_JIRA_TOKEN", "the-token-of-jira")
    server = EmbeddedPostgres(home / "work" / "data" / "postgres")
    server.start()
    try:
        environment = Path(f"/proc/{postmaster(server)}/environ").read_bytes()
        assert b"the-token-of-jira" not in environment
        assert f"FURROW_DATA_DIR={server.data_dir}".encode() in environment  # by which it is known
    finally:
        server.stop()


@AS_ROOT
def test_an_ordinary_user_runs_it_in_a_closed_home(home: Path) -> None:
    if not embedded_postgres._is_open_to_all(embedded_postgres._BIN / "postgres"):
        pytest.skip("an ordinary user cannot reach this Python: a start as one is then not tried")
    user = pwd.getpwnam("nobody")
    for one in (home, *home.rglob("*")):
        os.chown(one, user.pw_uid, user.pw_gid)
    before = modes(home / "work" / "data")
    # Not a new program: an ordinary user may be unable to reach this Python.
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            server = EmbeddedPostgres(home / "work" / "data" / "postgres")
            server.start()
            code = 0 if answers(server) and server.data_dir.stat().st_uid == user.pw_uid else 2
            server.stop()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert modes(home / "work" / "data") == before


def opened(folder: Path) -> list[Path]:
    return [one for one in (folder, *folder.rglob("*")) if not one.is_symlink() and one.stat().st_mode & 0o077]


def old_installation(data: Path) -> None:
    """A data directory as earlier versions made it, under the usual umask."""
    for folder in ("spool/dead-letters", "logs", "clickhouse/store/abc", "prefect", "metrics"):
        (data / folder).mkdir(parents=True, exist_ok=True)
    for file in (
        "spool/1-1-a.jsonl",
        "spool/dead-letters/2026-01-01.jsonl",
        "logs/collector.log",
        "prefect/prefect.db",
    ):
        (data / file).write_text("{}\n")
    (data / "user-salt").write_text("salt")
    for one in (data, *data.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)


def test_an_installation_of_before_is_closed(home: Path) -> None:
    data, elsewhere = home / "work" / "data", home / "elsewhere"
    old_installation(data)
    elsewhere.write_text("")
    elsewhere.chmod(0o644)
    (data / "logs" / "link").symlink_to(elsewhere)
    assert private_files.find_open_entries(data)[0] == data
    assert private_files.restrict_data_directory(data) == 14
    assert opened(data) == private_files.find_open_entries(data) == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644
    assert (data / "logs").stat().st_mode & 0o700 == 0o700
    assert private_files.restrict_data_directory(data) == 0


def test_a_directory_that_users_share_is_no_data_directory(home: Path) -> None:
    shared = home / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(PermanentError, match="not a directory of your own"):
        private_files.restrict_data_directory(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


def test_a_backup_is_for_its_owner_alone_whatever_it_copies(
    home: Path, postgres_url: str, postgres_server: EmbeddedPostgres
) -> None:
    data = home / "work" / "data"
    old_installation(data)
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    store.close()
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    old = os.umask(0o022)
    try:
        settings = Settings(data_dir=data, event_store_url=SecretStr("log"), incident_store_url=SecretStr(postgres_url))
        write_backup(settings, home / "backup")
        there = {
            "data_dir": home / "new",
            "incident_store_url": SecretStr(postgres_server.build_database_url("restored")),
        }
        restore_backup(settings.model_copy(update=there), home / "backup")
    finally:
        os.umask(old)
    assert len(list((home / "backup").rglob("*"))) > 5
    assert opened(home / "backup") == []
    assert (home / "new" / "spool" / "dead-letters" / "2026-01-01.jsonl").exists()
    assert opened(home / "new") == []


@pytest.mark.parametrize("module", ["collector", "furrow", "furrow.server", "furrow.installation.child"])
def test_every_program_writes_for_its_user_alone(module: str, home: Path) -> None:
    """Each is started with the usual umask and made to end early; what it set is seen by an exit handler."""
    told = home / "umask"
    program = (
        "import atexit, os, runpy, sys\n"
        f"atexit.register(lambda: open({str(told)!r}, 'w').write(oct(os.umask(0o022))))\n"
        f"sys.argv = [{module!r}, *sys.argv[1:]]\n"
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    )
    arguments = {
        "collector": ["-"],
        "furrow": ["--version"],
        "furrow.server": ["deploy"],
        "furrow.installation.child": ["this"],
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FURROW_", "PREFECT_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.umask(0o022)\n{program}", *arguments[module]],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env=environment | {"FURROW_DATA_DIR": str(home / "work" / "data")},
    )
    assert process.stdin is not None
    if module == "collector":  # it reads its configuration to the end
        process.stdin.write(b"no JSON")
        process.stdin.close()
    process.wait(120)
    process.stdin.close()
    assert told.read_text() == "0o77"
