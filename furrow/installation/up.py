"""``furrow up``: starts the parts of one installation, watches over them, and stops them.

Four things run under it: the collector, the embedded Postgres (if used), the engine and the Prefect server, started in this
order: events are accepted and land whether Prefect starts or not. A part that dies, or does not answer for long
(``core.health``), is started again; when this process dies, however it does, the parts follow (``furrow.installation.child``).
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
from urllib.parse import urlsplit

import httpx

from core import kept_secrets, known_stores, prefect_gate, private_files
from core.errors import PermanentError, TransientError
from core.health import COLLECTOR, LANDER, PREFECT, WORKER, BeatProbe, Watch, answers_http, beats
from core.metrics import degraded
from core.networks import reachable
from core.package import ROOT
from core.settings import EMBEDDED, Settings
from furrow.installation import misspelt_variables, running
from furrow.installation.data_lock import UNFINISHED, sole_user_of
from furrow.installation.log_files import kept_small
from furrow.installation.part_environment import for_part
from furrow.installation.registration import Registration
from furrow.installation.supervisor import Supervisor
from stores.embedded_postgres import EmbeddedPostgres

_START_SECONDS = 180.0
_STOP_SECONDS = 12.0
_POLL_SECONDS = 0.2
_TRIES = 3  # of the Prefect server, before a start goes on without it
_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
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
    watches: tuple[Watch, ...] = ()
    refusal: Callable[[], str] = lambda: ""
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_at: float = field(default=0.0)
    kill_at: float = field(default=0.0)
    started_at: float = field(default=0.0)
    replaced: int = 0
    refused: str = ""

    def start(self) -> bool:
        """Start it with a pipe as standard input, whose end tells it that we are gone; False if it must not run now, for the
        reason in ``refused`` (of ``refusal``)."""
        self.refused = self.refusal()
        if self.refused:
            return False
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
        self.started_at = time.monotonic()
        for watch in self.watches:
            watch.began()
        return True

    def running(self) -> bool:
        """Whether it is alive."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.running():
            self.process.terminate()

    def overdue(self) -> float:
        """For how long (s) it has not answered, if that is too long; else 0."""
        return max((watch.silent_s for watch in self.watches if watch.is_overdue), default=0.0)

    def kill(self) -> None:
        """End it and what it started, whatever they do: a stopped process reacts to nothing less."""
        if self.process is not None and self.running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, until: float) -> None:
        """Wait for its end until ``until`` (monotonic seconds), then kill it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
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
        self._supervisor = Supervisor(self.settings.data_dir, self._parts, say)
        self._registration = Registration(self._prefect_answers, lambda: self._run("furrow.installation.deploy"), say)
        self._helper: Part | None = None
        self._gate = self.settings.data_dir / "prefect-runs"
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
        """Start everything and wait until events are accepted, and for a while until runs are registered.

        A Prefect server that does not come up is told, and tried again while `supervise` runs. Raises FurrowError with what
        to do about it when intake or the stores cannot work here.
        """
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
        _check_settings(self.settings)
        if self.settings.port == self.settings.prefect_port:
            raise PermanentError("the collector and the Prefect server need different ports (--port, --prefect-port)")
        _check_port(self.settings.host, self.settings.port, "--port", "collector")
        _fresh_metrics(data / "metrics")
        running.keep(self.settings)
        for one in misspelt_variables.here():
            self._say(one.told())
        kept_secrets.prefect_auth(self.settings)
        if self.development_keys:
            kept_secrets.development_keys(self.settings)
        self._note_that_there_are_no_blocks()
        prefect_gate.set_open(self._gate, False)
        self._say("starting the collector" + (" and Postgres" if self._uses_postgres() else ""))
        collector = self._start_part("collector", ["collector"], self._collector_watch())
        self._start_postgres()
        self._run("furrow.installation.prepare")
        self._say("starting the engine and the Prefect server")
        self._start_part("engine", ["furrow.engine.process"], *self._engine_watches())
        prefect = self._start_part("prefect", ["furrow.prefect_server"], self._prefect_watch(), refusal=self._taken)
        self._wait_for(collector, f"{self.collector_url}/v1/health")
        self._say("events are accepted; registering blocks and deployments when the Prefect server answers")
        self._registration.start()
        self._wait_for_runs(prefect)

    def supervise(self, stop: threading.Event) -> None:
        """Start again what dies or does not answer, until ``stop`` is set."""
        while not stop.wait(_POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        self._supervisor.look()
        prefect_gate.set_open(self._gate, self._prefect_answers())

    def _wait_for_runs(self, prefect: Part) -> None:
        until = time.monotonic() + _START_SECONDS
        while not self._registration.done.wait(_POLL_SECONDS):
            self._look()
            trouble = self._registration.trouble or prefect.refused
            if not trouble and prefect.restarts >= _TRIES:
                trouble = f"the prefect did not start, see {prefect.log}: {_last_line(prefect.log)}"
            if not trouble and time.monotonic() > until:
                trouble = f"the prefect does not answer at {self.prefect_url}; see {prefect.log}"
            if trouble:
                self._say(f"not ready yet: runs and their UI ({trouble}); events are accepted and land meanwhile")
                return

    def stop(self) -> None:
        """Stop the parts, then Postgres; what was accepted is on disk, what is pending stays so."""
        if self._helper is not None:
            self._helper.ask_to_stop()
        self._registration.stop()
        self._supervisor.stop()
        parts = sorted(self._parts, key=lambda part: part.name == "prefect")  # runs tell it how they ended
        for part in parts:
            part.ask_to_stop()
            for watch in part.watches:
                watch.stop()
        until = time.monotonic() + _STOP_SECONDS
        for part in parts:
            part.wait(until)
        self._parts.clear()
        prefect_gate.set_open(self._gate, False)
        if self._postgres:
            self._postgres.stop()
        running.forget(self.settings.data_dir)
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
            prefect_gate.VARIABLE: str(self._gate),
            "PREFECT_HOME": str(settings.prefect_dir),
            "PREFECT_API_URL": settings.prefect_api_url,
            "PREFECT_SERVER_API_HOST": settings.prefect_host,
            "PREFECT_SERVER_API_PORT": str(settings.prefect_port),
            # Its pages call the address that they came from, whatever its name; no other origin is allowed to read.
            "PREFECT_SERVER_UI_API_URL": "/api",
            # The newer pages (V2) ask an analytics host at each load, whatever the switch below says.
            "PREFECT_SERVER_UI_V2_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            # Not in the package's own directory, which may be read-only.
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(settings.prefect_dir / "ui"),
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": self.prefect_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # The schedules make 3,200 runs a day; without this the database of runs grows for ever.
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs,orphans",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(14 * 24 * 3600),
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            # How long a run waits that finds its deployment running already; Prefect's 30 s are a whole interval of ours.
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
            # Leases of slots survive the server: a run that works on while it is replaced would be ended for want of its lease.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
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

    def _collector_watch(self) -> Watch:
        host, port = reachable(self.settings.host).strip("[]"), self.settings.port
        return Watch(lambda: answers_http(host, port, "/v1/health"), COLLECTOR)

    def _prefect_watch(self) -> Watch:
        address = urlsplit(self.prefect_url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        return Watch(lambda: answers_http(host, port, "/api/health"), PREFECT)

    def _engine_watches(self) -> tuple[Watch, ...]:
        data = self.settings.data_dir
        return Watch(BeatProbe(beats(data, "worker")), WORKER), Watch(BeatProbe(beats(data, "lander")), LANDER)

    def _prefect_answers(self) -> bool:
        """Whether our own Prefect server runs and has answered; another one on its port does not count."""
        parts = [part for part in self._parts if part.name == "prefect" and part.running()]
        return bool(parts) and all(watch.answered for watch in parts[0].watches)

    def _taken(self) -> str:
        try:
            _check_port(self.settings.prefect_host, self.settings.prefect_port, "--prefect-port", "Prefect server")
        except PermanentError as error:
            return str(error)
        return ""

    def _note_that_there_are_no_blocks(self) -> None:
        # A Prefect server that has never run here has no blocks: landing need not wait for its first answer.
        never_ran = not (self.settings.prefect_dir / "prefect.db").exists() and _DATABASE not in os.environ
        if never_ran and known_stores.read(self.settings.data_dir) is None:
            known_stores.keep(self.settings.data_dir, known_stores.KnownStores())

    def _start_postgres(self) -> None:
        if not self._uses_postgres():
            return
        self._postgres = EmbeddedPostgres(self.settings.postgres_dir)
        try:
            self._postgres.start()
        except TransientError as error:
            degraded("postgres", "start")
            self._say(f"not ready yet: Postgres ({error}); events are accepted meanwhile")
        self._supervisor.watch_over(self._postgres)

    def _start_part(
        self, name: str, module: list[str], *watches: Watch, refusal: Callable[[], str] = lambda: ""
    ) -> Part:
        command = [sys.executable, "-m", "furrow.installation.child", *module]
        log = self.settings.data_dir / "logs" / f"{name}.log"
        part = Part(name, command, self._environment_of(name), log, watches, refusal)
        self._parts.append(part)
        self._supervisor.begin(part)
        return part

    def _run(self, module: str) -> None:
        """Run ``module`` to its end. Raises FurrowError when it fails or takes too long."""
        log = self.settings.data_dir / "logs" / "deploy.log"
        began = log.stat().st_size if log.exists() else 0
        part = self._helper = Part(
            module, [sys.executable, "-m", "furrow.installation.child", module], self._environment_of(module), log
        )
        part.start()
        assert part.process is not None
        try:
            code = part.process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            part.kill()
            raise TransientError(f"{module} did not end within {_START_SECONDS:.0f} s, see {log}") from None
        finally:
            self._helper = None
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


def _check_settings(settings: Settings) -> None:
    if settings.events_api_only:
        raise PermanentError(
            "FURROW_EVENTS_API_ONLY is for a collector that runs alone (`python -m collector`): `furrow up` has operators, who "
            "need the rest of the API; unset it"
        )


def _last_line(log: Path) -> str:
    """The end of a log as one line: what a process said last, which of a traceback is the error itself."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[:500]
