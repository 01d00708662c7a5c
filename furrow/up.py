"""``furrow up``: starts the parts of one installation, watches over them, and stops them.

Four things run under it: the embedded Postgres (if used), the Prefect server, the collector and the engine. A part that
dies is started again; when this process dies, however it does, the parts follow (``furrow.child``).
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import httpx

from furrow import ROOT, kept_secrets, private_files
from furrow.data_lock import UNFINISHED, sole_user_of
from furrow.errors import FurrowError, PermanentError
from furrow.log_files import kept_small
from furrow.metrics import degraded
from furrow.networks import reachable
from furrow.part_environment import for_part
from furrow.settings import EMBEDDED, Settings
from stores.postgres import EmbeddedPostgres

_START_SECONDS = 180.0
_STOP_SECONDS = 12.0
_POLL_SECONDS = 0.2
_RESTART_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
# Postgres gets more time before it is started again: somebody may have stopped it to look at it or to copy it.
_POSTGRES_SECONDS = 30.0
_POSTGRES_POLL_SECONDS = 5.0
LEAST_FREE_BYTES = 256 << 20
"""Room on the disk without which nothing is started: new stores take 100 MB, and ClickHouse merges into new files."""

REFUSED = 3
"""Exit code of a part that must not run here, for a reason that it told."""
TOLD = "furrow: "
"""How a line in the log of such a part begins that is for whoever started Furrow."""

Say = Callable[[str], None]


@dataclass
class Part:
    """One process of the installation, with its log file."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it with a pipe as standard input, whose end tells it that we are gone."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which stops the parts in order
            )

    def running(self) -> bool:
        """Whether it is alive."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.running():
            self.process.terminate()

    def wait(self, until: float) -> None:
        """Wait for its end until ``until`` (monotonic seconds), then kill it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


class Installation:
    """One data directory and the processes that work on it. Use as a context manager; `start` first."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self.settings = settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})
        self._say = say
        self._parts: list[Part] = []
        self._postgres: EmbeddedPostgres | None = None
        self._postgres_check = 0.0
        self._postgres_down_at: float | None = None
        self._stack = contextlib.ExitStack()

    @property
    def collector_url(self) -> str:
        """Address of the collector."""
        return f"http://{reachable(self.settings.host)}:{self.settings.port}"

    @property
    def prefect_url(self) -> str:
        """Address of the Prefect UI; its API is below ``/api``."""
        return self.settings.prefect_api_url.removesuffix("/api")

    @property
    def development_keys(self) -> bool:
        """Whether the keys that were made for this installation are valid: all is embedded."""
        stores = (self.settings.event_store_url, self.settings.incident_store_url)
        return all(url.get_secret_value() == EMBEDDED for url in stores)

    def start(self) -> None:
        """Start everything and wait until it answers. Raises FurrowError with what to do about it."""
        data = self.settings.data_dir
        private_files.write_for_us_alone()
        try:
            (data / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(f"{data} cannot be the data directory: {error.strerror}") from error
        private_files.tighten(data)
        self._stack.enter_context(sole_user_of(data, "stop it, or choose another directory with --data-dir"))
        self._stack.enter_context(kept_small(self._logs, self.settings.log_mb << 20))
        _check_directory(data)
        if self.settings.port == self.settings.prefect_port:
            raise PermanentError("the collector and the Prefect server need different ports (--port, --prefect-port)")
        _check_port(self.settings.host, self.settings.port, "--port", "collector")
        _check_port(self.settings.prefect_host, self.settings.prefect_port, "--prefect-port", "Prefect server")
        _fresh_metrics(data / "metrics")
        kept_secrets.prefect_auth(self.settings)
        if self.development_keys:
            kept_secrets.development_keys(self.settings)
        self._say("starting the Prefect server" + (" and Postgres" if self._uses_postgres() else ""))
        prefect = self._start_part("prefect", ["furrow.prefect_server"])
        if self._uses_postgres():
            self._postgres = EmbeddedPostgres(self.settings.postgres_dir)
            self._postgres.start()
        self._wait_for(prefect, f"{self.prefect_url}/api/health")
        self._say("registering blocks and deployments")
        self._run("furrow.deploy")
        self._say("starting the collector and the engine")
        collector = self._start_part("collector", ["collector"])
        self._start_part("engine", ["furrow.engine"])
        self._wait_for(collector, f"{self.collector_url}/v1/health")

    def supervise(self, stop: threading.Event) -> None:
        """Start again what dies, until ``stop`` is set."""
        while not stop.wait(_POLL_SECONDS):
            for part in self._parts:
                if not part.running():
                    self._revive(part)
            if self._postgres and time.monotonic() >= self._postgres_check:
                self._postgres_check = time.monotonic() + _POSTGRES_POLL_SECONDS
                self._watch_postgres(self._postgres)

    def stop(self) -> None:
        """Stop the parts, then Postgres; what was accepted is on disk, what is pending stays so."""
        for part in reversed(self._parts):
            part.ask_to_stop()
        until = time.monotonic() + _STOP_SECONDS
        for part in reversed(self._parts):
            part.wait(until)
        self._parts.clear()
        if self._postgres:
            self._postgres.stop()
        self._stack.close()

    def environment(self) -> dict[str, str]:
        """What each part gets its share of (`for_part`): every setting, and Prefect pointed at this installation's server."""
        settings = self.settings
        return {
            # Runs come in ever new threads. With glibc's default, eight arenas for each core, what each of them has freed is
            # kept apart, and the process grows with the runs although its objects do not.
            "MALLOC_ARENA_MAX": "2",
            **os.environ,
            **_as_environment(settings),
            "FURROW_DEVELOPMENT_KEYS": "1" if self.development_keys else "",
            "PREFECT_HOME": str(settings.prefect_dir),
            "PREFECT_API_URL": settings.prefect_api_url,
            "PREFECT_SERVER_API_HOST": settings.prefect_host,
            "PREFECT_SERVER_API_PORT": str(settings.prefect_port),
            # Its pages call the address that they came from, whatever its name; no other origin is allowed to read.
            "PREFECT_SERVER_UI_API_URL": "/api",
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": self.prefect_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # The schedules make 3,200 runs a day; without this the database of runs grows for ever.
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs,orphans",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(14 * 24 * 3600),
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            # How long a run waits that finds its deployment running already; Prefect's 30 s are a whole interval of ours.
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
            # Our own log lines appear with the run that wrote them; those of the lander belong to none.
            "PREFECT_LOGGING_EXTRA_LOGGERS": "furrow",
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            "PREFECT_CLI_PROMPT": "false",
            "PROMETHEUS_MULTIPROC_DIR": str(settings.data_dir / "metrics"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
        }

    def _logs(self) -> list[Path]:
        return [*(self.settings.data_dir / "logs").glob("*.log"), self.settings.postgres_dir / "server.log"]

    def _uses_postgres(self) -> bool:
        return self.settings.incident_store_url.get_secret_value() == EMBEDDED

    def _environment_of(self, part: str) -> dict[str, str]:
        """The environment of one part, with the secrets that it needs and no others."""
        auth = kept_secrets.prefect_auth(self.settings).get_secret_value()
        whole = {**self.environment(), "PREFECT_API_AUTH_STRING": auth, "PREFECT_SERVER_API_AUTH_STRING": auth}
        return for_part(part, whole)

    def _start_part(self, name: str, module: list[str]) -> Part:
        command = [sys.executable, "-m", "furrow.child", *module]
        part = Part(name, command, self._environment_of(name), self.settings.data_dir / "logs" / f"{name}.log")
        part.start()
        self._parts.append(part)
        return part

    def _run(self, module: str) -> None:
        log = self.settings.data_dir / "logs" / "deploy.log"
        began = log.stat().st_size if log.exists() else 0
        part = Part(module, [sys.executable, "-m", module], self._environment_of(module), log)
        part.start()
        assert part.process is not None
        code = part.process.wait(_START_SECONDS)
        lines = log.read_bytes()[began:].decode(errors="replace").splitlines()
        told = [line.removeprefix(TOLD) for line in lines if line.startswith(TOLD)]
        if code == REFUSED and told:
            raise PermanentError(told[-1])
        if code:
            raise PermanentError(f"{module} failed, see {log}: {_last_line(log)}")
        for line in told:
            self._say(line)

    def _wait_for(self, part: Part, url: str) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2).is_success:
                    return
            if not part.running():
                raise PermanentError(f"the {part.name} did not start, see {part.log}: {_last_line(part.log)}")
            if time.monotonic() > until:
                raise PermanentError(f"the {part.name} does not answer at {url}; see {part.log}")
            time.sleep(_POLL_SECONDS)

    def _watch_postgres(self, server: EmbeddedPostgres) -> None:
        now = time.monotonic()
        if server.running():
            self._postgres_down_at = None
        elif self._postgres_down_at is None:
            self._postgres_down_at = now
            log = server.data_dir / "server.log"
            self._say(f"Postgres does not run; starting it again in {_POSTGRES_SECONDS:.0f} s, see {log}")
        elif now - self._postgres_down_at >= _POSTGRES_SECONDS:
            self._postgres_down_at = now
            try:
                server.start()
            except FurrowError as error:
                degraded("postgres", "start")
                self._say(f"Postgres could not be started: {error}")

    def _revive(self, part: Part) -> None:
        now = time.monotonic()
        if not part.restart_at:
            delay = _RESTART_SECONDS[min(part.restarts, len(_RESTART_SECONDS) - 1)]
            part.restart_at, part.restarts = now + delay, part.restarts + 1
            code = part.process.returncode if part.process else "?"
            self._say(f"the {part.name} ended ({code}); starting it again in {delay:.0f} s, see {part.log}")
        elif now >= part.restart_at:
            part.restart_at = 0.0
            part.start()


def run(settings: Settings, say: Say, ready: Callable[[Installation], None]) -> None:
    """Start an installation, call ``ready``, and keep it until SIGINT or SIGTERM."""
    stop = threading.Event()

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    installation = Installation(settings, say)
    previous = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        installation.start()
        ready(installation)
        installation.supervise(stop)
    finally:
        say("stopping")
        installation.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _as_environment(settings: Settings) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if plain is not None:
            values[f"FURROW_{name.upper()}"] = str(plain)
    return values


def _fresh_metrics(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for old in directory.glob("*.db"):
        old.unlink()


def _check_port(host: str, port: int, option: str, what: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PermanentError(
                f"port {port} of the {what} is taken or forbidden; choose another with {option}"
            ) from error


def _check_directory(data: Path) -> None:
    if (data / UNFINISHED).exists():
        raise PermanentError(f"a restore into {data} did not finish; delete the directory and restore again")
    free = shutil.disk_usage(data).free
    if free < LEAST_FREE_BYTES:
        message = (
            f"the disk of {data} is full ({free >> 20} MiB free); make room for at least {LEAST_FREE_BYTES >> 20} MiB"
        )
        raise PermanentError(message)


def _last_line(log: Path) -> str:
    """The end of a log as one line: what a process said last, which of a traceback is the error itself."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[:500]
