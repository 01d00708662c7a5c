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
from core.health import COLLECTOR, LANDER, PREFECT, WORKER, HealthWatch, HeartbeatProbe, answers_http, heartbeat_file
from core.metrics import count_degraded
from core.networks import reachable_host
from core.package import ROOT
from core.settings import Settings
from furrow.installation import misspelt_variables, running
from furrow.installation.data_lock import UNFINISHED, lock_data_directory
from furrow.installation.log_files import keep_logs_small
from furrow.installation.part_environment import select_part_environment
from furrow.installation.registration import Registration
from furrow.installation.supervisor import Supervisor
from stores import opening
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
MESSAGE_PREFIX = "furrow: "
"""How a line in the log of such a part begins that is for whoever started Furrow."""

Say = Callable[[str], None]


@dataclass
class Part:
    """One process of the installation, with its log file."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    watches: tuple[HealthWatch, ...] = ()
    refusal: Callable[[], str] = lambda: ""
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_at: float = field(default=0.0)
    kill_at: float = field(default=0.0)
    started_at: float = field(default=0.0)
    replaced: int = 0
    refused: str = ""

    def start_process(self) -> bool:
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
            watch.mark_started()
        return True

    def is_running(self) -> bool:
        """Whether it is alive."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.is_running():
            self.process.terminate()

    def overdue_seconds(self) -> float:
        """For how long (s) it has not answered, if that is too long; else 0."""
        return max((watch.silent_s for watch in self.watches if watch.is_overdue), default=0.0)

    def kill_process(self) -> None:
        """End it and what it started, whatever they do: a stopped process reacts to nothing less."""
        if self.process is not None and self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait_for_end(self, until: float) -> None:
        """Wait for its end until ``until`` (monotonic seconds), then kill it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill_process()
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
        self._registration = Registration(
            self._has_prefect_answered, lambda: self._run_helper_module("furrow.installation.deploy"), say
        )
        self._helper: Part | None = None
        self._gate = self.settings.data_dir / "prefect-runs"
        self._stack = contextlib.ExitStack()

    @property
    def collector_url(self) -> str:
        """Address of the collector."""
        return f"http://{reachable_host(self.settings.host)}:{self.settings.port}"

    @property
    def prefect_url(self) -> str:
        """Address of the Prefect UI; its API is below ``/api``."""
        return self.settings.prefect_api_url.removesuffix("/api")

    @property
    def has_development_keys(self) -> bool:
        """Whether the keys that were made for this installation are valid: all is embedded."""
        return opening.are_all_embedded(self.settings)

    def start(self) -> None:
        """Start everything and wait until events are accepted, and for a while until runs are registered.

        A Prefect server that does not come up is told, and tried again while `supervise` runs. Raises FurrowError with what
        to do about it when intake or the stores cannot work here.
        """
        data = self.settings.data_dir
        private_files.restrict_new_files()
        try:
            (data / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(f"{data} cannot be the data directory: {error.strerror}") from error
        private_files.restrict_data_directory(data)
        self._stack.enter_context(lock_data_directory(data, "stop it, or choose another directory with --data-dir"))
        self._stack.enter_context(keep_logs_small(self._list_log_paths, self.settings.log_mb << 20))
        _check_data_directory(data)
        _check_settings_for_up(self.settings)
        if self.settings.port == self.settings.prefect_port:
            raise PermanentError("the collector and the Prefect server need different ports (--port, --prefect-port)")
        _check_port_is_free(self.settings.host, self.settings.port, "--port", "collector")
        _clear_metrics_directory(data / "metrics")
        running.keep_running_settings(self.settings)
        for variable in misspelt_variables.find_misspelt_variables():
            self._say(variable.to_message())
        kept_secrets.prefect_auth(self.settings)
        if self.has_development_keys:
            kept_secrets.development_keys(self.settings)
        self._note_missing_blocks()
        prefect_gate.set_gate_open(self._gate, False)
        self._say("starting the collector" + (" and Postgres" if self._uses_postgres() else ""))
        collector = self._start_part("collector", ["collector"], self._make_collector_watch())
        self._start_postgres()
        self._run_helper_module("furrow.installation.prepare")
        self._say("starting the engine and the Prefect server")
        self._start_part("engine", ["furrow.engine.process"], *self._make_engine_watches())
        prefect = self._start_part(
            "prefect", ["furrow.prefect_server"], self._make_prefect_watch(), refusal=self._find_port_conflict
        )
        self._wait_for_answer(collector, f"{self.collector_url}/v1/health")
        self._say("events are accepted; registering blocks and deployments when the Prefect server answers")
        self._registration.start()
        self._wait_for_registration(prefect)

    def supervise(self, stop: threading.Event) -> None:
        """Start again what dies or does not answer, until ``stop`` is set."""
        while not stop.wait(_POLL_SECONDS):
            self._check_parts_and_gate()

    def _check_parts_and_gate(self) -> None:
        self._supervisor.check_parts()
        prefect_gate.set_gate_open(self._gate, self._has_prefect_answered())

    def _wait_for_registration(self, prefect: Part) -> None:
        until = time.monotonic() + _START_SECONDS
        while not self._registration.done.wait(_POLL_SECONDS):
            self._check_parts_and_gate()
            trouble = self._registration.trouble or prefect.refused
            if not trouble and prefect.restarts >= _TRIES:
                trouble = f"the prefect did not start, see {prefect.log}: {_read_last_line(prefect.log)}"
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
        self._supervisor.stop_watching()
        parts = sorted(self._parts, key=lambda part: part.name == "prefect")  # runs tell it how they ended
        for part in parts:
            part.ask_to_stop()
            for watch in part.watches:
                watch.stop_probing()
        until = time.monotonic() + _STOP_SECONDS
        for part in parts:
            part.wait_for_end(until)
        self._parts.clear()
        prefect_gate.set_gate_open(self._gate, False)
        if self._postgres:
            self._postgres.stop()
        running.forget_running_settings(self.settings.data_dir)
        self._stack.close()

    def make_environment(self) -> dict[str, str]:
        """What each part gets its share of (`for_part`): every setting, and Prefect pointed at this installation's server."""
        settings = self.settings
        return {
            # Runs come in ever new threads. With glibc's default, eight arenas for each core, what each of them has freed is
            # kept apart, and the process grows with the runs although its objects do not.
            "MALLOC_ARENA_MAX": "2",
            **os.environ,
            **_settings_as_environment(settings),
            "FURROW_DEVELOPMENT_KEYS": "1" if self.has_development_keys else "",
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

    def _list_log_paths(self) -> list[Path]:
        return [*(self.settings.data_dir / "logs").glob("*.log"), self.settings.postgres_dir / "server.log"]

    def _uses_postgres(self) -> bool:
        return opening.read_store_mode(self.settings.incident_store_url) == "embedded"

    def _make_part_environment(self, part: str) -> dict[str, str]:
        """The environment of one part, with the secrets that it needs and no others."""
        auth = kept_secrets.prefect_auth(self.settings).get_secret_value()
        whole = {**self.make_environment(), "PREFECT_API_AUTH_STRING": auth, "PREFECT_SERVER_API_AUTH_STRING": auth}
        return select_part_environment(part, whole)

    def _make_collector_watch(self) -> HealthWatch:
        host, port = reachable_host(self.settings.host).strip("[]"), self.settings.port
        return HealthWatch(lambda: answers_http(host, port, "/v1/health"), COLLECTOR)

    def _make_prefect_watch(self) -> HealthWatch:
        address = urlsplit(self.prefect_url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        return HealthWatch(lambda: answers_http(host, port, "/api/health"), PREFECT)

    def _make_engine_watches(self) -> tuple[HealthWatch, ...]:
        data = self.settings.data_dir
        return HealthWatch(HeartbeatProbe(heartbeat_file(data, "worker")), WORKER), HealthWatch(
            HeartbeatProbe(heartbeat_file(data, "lander")), LANDER
        )

    def _has_prefect_answered(self) -> bool:
        """Whether our own Prefect server runs and has answered; another one on its port does not count."""
        parts = [part for part in self._parts if part.name == "prefect" and part.is_running()]
        return bool(parts) and all(watch.has_answered for watch in parts[0].watches)

    def _find_port_conflict(self) -> str:
        try:
            _check_port_is_free(
                self.settings.prefect_host, self.settings.prefect_port, "--prefect-port", "Prefect server"
            )
        except PermanentError as error:
            return str(error)
        return ""

    def _note_missing_blocks(self) -> None:
        # A Prefect server that has never run here has no blocks: landing need not wait for its first answer.
        never_ran = not (self.settings.prefect_dir / "prefect.db").exists() and _DATABASE not in os.environ
        if never_ran and known_stores.read_known_stores(self.settings.data_dir) is None:
            known_stores.write_known_stores(self.settings.data_dir, known_stores.KnownStores())

    def _start_postgres(self) -> None:
        if not self._uses_postgres():
            return
        self._postgres = opening.open_embedded_postgres(self.settings)
        try:
            self._postgres.start()
        except TransientError as error:
            count_degraded("postgres", "start")
            self._say(f"not ready yet: Postgres ({error}); events are accepted meanwhile")
        self._supervisor.watch_postgres(self._postgres)

    def _start_part(
        self, name: str, module: list[str], *watches: HealthWatch, refusal: Callable[[], str] = lambda: ""
    ) -> Part:
        command = [sys.executable, "-m", "furrow.installation.child", *module]
        log = self.settings.data_dir / "logs" / f"{name}.log"
        part = Part(name, command, self._make_part_environment(name), log, watches, refusal)
        self._parts.append(part)
        self._supervisor.start_part(part)
        return part

    def _run_helper_module(self, module: str) -> None:
        """Run ``module`` to its end. Raises FurrowError when it fails or takes too long."""
        log = self.settings.data_dir / "logs" / "deploy.log"
        began = log.stat().st_size if log.exists() else 0
        part = self._helper = Part(
            module,
            [sys.executable, "-m", "furrow.installation.child", module],
            self._make_part_environment(module),
            log,
        )
        part.start_process()
        assert part.process is not None
        try:
            code = part.process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            part.kill_process()
            raise TransientError(f"{module} did not end within {_START_SECONDS:.0f} s, see {log}") from None
        finally:
            self._helper = None
        lines = log.read_bytes()[began:].decode(errors="replace").splitlines()
        messages = [line.removeprefix(MESSAGE_PREFIX) for line in lines if line.startswith(MESSAGE_PREFIX)]
        if code == REFUSED and messages:
            raise PermanentError(messages[-1])
        if code:
            raise PermanentError(f"{module} failed, see {log}: {_read_last_line(log)}")
        for line in messages:
            self._say(line)

    def _wait_for_answer(self, part: Part, url: str) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2).is_success:
                    return
            if not part.is_running():
                raise PermanentError(f"the {part.name} did not start, see {part.log}: {_read_last_line(part.log)}")
            if time.monotonic() > until:
                raise PermanentError(f"the {part.name} does not answer at {url}; see {part.log}")
            time.sleep(_POLL_SECONDS)


def run_installation(settings: Settings, say: Say, ready: Callable[[Installation], None]) -> None:
    """Start an installation, call ``ready``, and keep it until SIGINT or SIGTERM."""
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    installation = Installation(settings, say)
    previous = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        installation.start()
        ready(installation)
        installation.supervise(stop)
    finally:
        say("stopping")
        installation.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _settings_as_environment(settings: Settings) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if plain is not None:
            values[f"FURROW_{name.upper()}"] = str(plain)
    return values


def _clear_metrics_directory(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for old in directory.glob("*.db"):
        old.unlink()


def _check_port_is_free(host: str, port: int, option: str, what: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PermanentError(
                f"port {port} of the {what} is taken or forbidden; choose another with {option}"
            ) from error


def _check_data_directory(data: Path) -> None:
    if (data / UNFINISHED).exists():
        raise PermanentError(f"a restore into {data} did not finish; delete the directory and restore again")
    free = shutil.disk_usage(data).free
    if free < LEAST_FREE_BYTES:
        message = (
            f"the disk of {data} is full ({free >> 20} MiB free); make room for at least {LEAST_FREE_BYTES >> 20} MiB"
        )
        raise PermanentError(message)


def _check_settings_for_up(settings: Settings) -> None:
    if settings.events_api_only:
        raise PermanentError(
            "FURROW_EVENTS_API_ONLY is for a collector that runs alone (`python -m collector`): `furrow up` has operators, who "
            "need the rest of the API; unset it"
        )


def _read_last_line(log: Path) -> str:
    """The end of a log as one line: what a process said last, which of a traceback is the error itself."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[:500]
