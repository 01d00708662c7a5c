"""``furrow up``: starts, supervises and stops the parts of an installation.

The parts are the collector, the embedded Postgres (if used), the engine and the Prefect server, started in this order: events
are accepted and stored even if Prefect does not start. A part that ends, or does not answer for too long (``core.health``), is
restarted. When this process ends, also by a crash, the parts stop (``furrow.installation.child``).
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
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import httpx

from core import kept_secrets, known_stores, prefect_gate, private_files
from core.errors import PermanentError, TransientError, WrongUse
from core.health import COLLECTOR, LANDER, PREFECT, WORKER, HealthWatch, HeartbeatProbe, answers_http, heartbeat_file
from core.metrics import count_degraded
from core.networks import reachable_host
from core.package import ROOT
from core.settings import Settings
from furrow import prefect_economy
from furrow.installation import misspelt_variables, running
from furrow.installation.data_lock import UNFINISHED, lock_data_directory
from furrow.installation.log_files import keep_logs_small, read_last_line
from furrow.installation.part import Part
from furrow.installation.part_environment import select_part_environment
from furrow.installation.registration import Registration
from furrow.installation.supervisor import Supervisor
from stores import opening
from stores.embedded_postgres import EmbeddedPostgres

_START_SECONDS = 180.0
_STOP_SECONDS = 12.0
_POLL_SECONDS = 0.2
_TRIES = 3  # starts of the Prefect server, before `furrow up` continues without it
_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
LEAST_FREE_BYTES = 256 << 20
"""Minimum free disk space: new stores take 100 MB, and ClickHouse needs space to merge files."""

REFUSED = 3
"""Exit code of a part that must not run here. Its reason is in its log."""
MESSAGE_PREFIX = "furrow: "
"""Prefix of lines in the log of a helper module that are shown to the user of ``furrow up``."""

Say = Callable[[str], None]


class Installation:
    """A data directory and the processes that use it. Call `start`, then `supervise`, and always `stop`."""

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
        """Whether the keys created for this installation are valid: only with embedded stores."""
        return opening.are_all_embedded(self.settings)

    def start(self) -> None:
        """Start all parts. Wait until events are accepted, and up to `_START_SECONDS` until deployments are registered.

        If the Prefect server does not start, a message is shown and `supervise` tries again. Raises FurrowError with advice
        when the collector or the stores cannot work here.
        """
        data = self.settings.data_dir
        private_files.restrict_new_files()
        try:
            (data / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(f"{data} cannot be used as data directory: {error.strerror}") from error
        private_files.restrict_data_directory(data)
        self._stack.enter_context(lock_data_directory(data, "stop it, or choose another directory with --data-dir"))
        self._stack.enter_context(keep_logs_small(self._list_log_paths, self.settings.log_mb << 20))
        _check_data_directory(data)
        _check_settings_for_up(self.settings)
        if self.settings.port == self.settings.prefect_port:
            raise WrongUse("the collector and the Prefect server need different ports (--port, --prefect-port)")
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
        self._say("events are accepted; waiting for the Prefect server to register blocks and deployments")
        self._registration.start()
        self._wait_for_registration(prefect)

    def supervise(self, stop: threading.Event) -> None:
        """Restart parts that end or do not answer, until ``stop`` is set."""
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
                trouble = f"the Prefect server did not start, see {prefect.log}: {read_last_line(prefect.log)}"
            if not trouble and time.monotonic() > until:
                trouble = f"the Prefect server does not answer at {self.prefect_url}; see {prefect.log}"
            if trouble:
                self._say(f"not ready yet: runs and the Prefect UI ({trouble}); events are accepted and stored")
                return

    def stop(self) -> None:
        """Stop the parts, then Postgres. Accepted events are on disk; pending work stays pending."""
        if self._helper is not None:
            self._helper.ask_to_stop()
        self._registration.stop()
        self._supervisor.stop_watching()
        # Prefect last, because runs report their final state to it.
        parts = sorted(self._parts, key=lambda part: part.name == "prefect")
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
        """The environment from which `select_part_environment` selects the variables of each part."""
        settings = self.settings
        return {
            # Each run has a new thread. With glibc's default of eight arenas per core, memory freed in one arena is not reused
            # in others, and the process grows with the number of runs.
            "MALLOC_ARENA_MAX": "2",
            **prefect_economy.SETTINGS,
            **os.environ,
            **_settings_as_environment(settings),
            "FURROW_DEVELOPMENT_KEYS": "1" if self.has_development_keys else "",
            prefect_gate.VARIABLE: str(self._gate),
            "PREFECT_HOME": str(settings.prefect_dir),
            "PREFECT_API_URL": settings.prefect_api_url,
            "PREFECT_SERVER_API_HOST": settings.prefect_host,
            "PREFECT_SERVER_API_PORT": str(settings.prefect_port),
            # The UI calls the address that it was loaded from. Other origins may not read.
            "PREFECT_SERVER_UI_API_URL": "/api",
            # The new UI (V2) contacts an analytics host at each load, even with analytics disabled.
            "PREFECT_SERVER_UI_V2_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            # The package's own directory may be read-only.
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(settings.prefect_dir / "ui"),
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": self.prefect_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # The schedules create 6,000 runs a day; without this the database would grow without limit.
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs,orphans",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(14 * 24 * 3600),
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            # Wait of a run while its deployment has an active run. Prefect's default, 30 s, is the interval of `detect`.
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
            # Leases of concurrency slots must survive a restart of the server; otherwise it would end active runs.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            # Log lines of Furrow appear at the run that wrote them. Lines of the lander belong to no run.
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
        """The environment of a part, with only the secrets that it needs."""
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
        """Whether our Prefect server runs and has answered. Another server on its port does not count."""
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
        # A Prefect server that has never run here has no blocks, so storing events need not wait for its first answer.
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
            self._say(f"not ready yet: Postgres ({error}); events are accepted")
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
        """Run ``module`` and wait for its end. Raises FurrowError when it fails or exceeds `_START_SECONDS`."""
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
            raise PermanentError(f"{module} failed, see {log}: {read_last_line(log)}")
        for line in messages:
            self._say(line)

    def _wait_for_answer(self, part: Part, url: str) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2).is_success:
                    return
            if not part.is_running():
                raise PermanentError(f"the {part.name} did not start, see {part.log}: {read_last_line(part.log)}")
            if time.monotonic() > until:
                raise PermanentError(f"the {part.name} does not answer at {url}; see {part.log}")
            time.sleep(_POLL_SECONDS)


def run_installation(settings: Settings, say: Say, ready: Callable[[Installation], None]) -> None:
    """Start an installation, call ``ready``, and keep it running until SIGINT or SIGTERM."""
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
        if installation._parts:
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
                f"port {port} of the {what} is in use or not permitted; choose another port with {option}"
            ) from error


def _check_data_directory(data: Path) -> None:
    if (data / UNFINISHED).exists():
        raise PermanentError(f"a restore into {data} did not finish; delete the directory and run the restore again")
    free = shutil.disk_usage(data).free
    if free < LEAST_FREE_BYTES:
        message = f"the disk of {data} is full ({free >> 20} MiB free); free at least {LEAST_FREE_BYTES >> 20} MiB"
        raise PermanentError(message)


def _check_settings_for_up(settings: Settings) -> None:
    if settings.events_api_only:
        raise WrongUse(
            "FURROW_EVENTS_API_ONLY is only for a collector that runs alone (`python -m collector`); unset it, because the "
            "commands of `furrow up` need the whole API"
        )
