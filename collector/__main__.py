"""``python -m collector``: the collector as a process, configured by ``FURROW_*``, or by JSON on standard input (``-``)."""

import gc
import logging
import resource
import signal
import socket
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import uvicorn

from collector.app import create_app
from collector.config import CollectorConfig
from collector.routes.route import RouteGroup
from collector.siblings import Siblings
from collector.transport.connections import RESERVED_DESCRIPTORS, Connections, Limits, Listener
from collector.transport.protocol import IntakeProtocol
from core.ending import run_to_exit_code
from core.logs import log_to_standard_error
from core.metrics import count_degraded
from core.networks import parse_networks
from core.private_files import restrict_new_files

_log = logging.getLogger("collector")
_STOP_SECONDS = 5
_ACCEPTED_AT_ONCE = 64
_ENOUGH_DESCRIPTORS = 65_536
_COLLECT_AFTER = 50_000
"""Objects after which Python looks for cycles. A batch of 1,000 events makes thousands of objects and no cycle; with the
default of 700, looking took 6 % of the time."""


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; then finish the running requests and seal the spool. Returns the exit status."""
    if arguments not in ([], ["-"]):
        print("usage: python -m collector [-]", file=sys.stderr)
        return 2
    restrict_new_files()
    log_to_standard_error("collector")
    configuration_json = sys.stdin.buffer.read() if arguments else None
    if configuration_json is not None:
        serve_collector(CollectorConfig.model_validate_json(configuration_json))
        return 0
    return run_to_exit_code(lambda: serve_collector(CollectorConfig.from_environment()))


def serve_collector(config: CollectorConfig, groups: tuple[RouteGroup[Any], ...] | None = None) -> None:
    """Bind, print the address on standard output, and serve the routes of ``groups`` (None: of the registry).

    There is no access log: URLs and headers may contain secrets."""
    is_shared = config.processes > 1
    listener = _bind_listener(config.host, config.port, is_shared=is_shared)
    host, port = listener.getsockname()[:2]
    siblings = Siblings(config.processes - 1)
    if not siblings.is_first:
        listener.close()
        listener = _bind_listener(config.host, port, is_shared=is_shared)
    # uvicorn stops in its own handler and then raises the signal again: a requested stop exits with 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1 if siblings.failed else 0))
    siblings.watch()
    if siblings.is_first:
        print(f"collector listening on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    try:
        _serve_on(config, listener, groups)
    finally:
        siblings.stop()


def _serve_on(config: CollectorConfig, listener: Listener, groups: tuple[RouteGroup[Any], ...] | None) -> None:
    table = Connections(_connection_limits(config))
    listener.table = table
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config, groups=groups),
            http=partial(IntakeProtocol, table=table),  # type: ignore[arg-type]  # a class, or what makes one
            loop="asyncio",  # `Listener.accept` bounds the connections
            ws="none",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # collector.senders.source reads them, by our own setting
            log_config=None,
            timeout_graceful_shutdown=_STOP_SECONDS,
            timeout_keep_alive=round(config.waits.idle),
            backlog=_ACCEPTED_AT_ONCE,
        )
    )
    gc.collect()
    gc.freeze()  # what was imported stays: it is not looked through again
    gc.set_threshold(_COLLECT_AFTER, 10, 10)
    server.run([listener])


def _connection_limits(config: CollectorConfig) -> Limits:
    descriptors = _raise_descriptor_limit()
    room = descriptors - min(RESERVED_DESCRIPTORS, descriptors // 2)
    most = min(config.max_connections, room)
    _log.info("%d files may be open; up to %d connections at once", descriptors, most)
    # The reader of a body has its own time limit; this one is for a body that nobody reads.
    waits = replace(config.waits, body=config.body_seconds + config.waits.rest)
    return Limits(most, config.connections_per_peer, parse_networks(config.trusted_proxies), waits)


def _raise_descriptor_limit() -> int:
    """Raise the limit of open files as far as the process may. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    most = hard if hard != resource.RLIM_INFINITY else max(soft, _ENOUGH_DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        count_degraded("collector", "descriptors_not_raised")
        return soft
    return most


def _bind_listener(host: str, port: int, *, is_shared: bool) -> Listener:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = Listener(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    listener.listen()  # before the address is printed, so that its reader can connect
    return listener


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
