"""``python -m collector``: the HTTP edge as a process, configured by ``FURROW_*``, or by JSON on standard
input (``-``)."""

import logging
import signal
import socket
import sys
from types import FrameType

import uvicorn

from collector.app import create_app
from collector.config import CollectorConfig
from furrow.private_files import write_for_us_alone

_STOP_SECONDS = 5
_BACKLOG = 2048


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; then finish the requests that run and seal the spool."""
    if arguments not in ([], ["-"]):
        print("usage: python -m collector [-]", file=sys.stderr)
        return 2
    write_for_us_alone()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s collector %(levelname)s %(name)s: %(message)s")
    told = sys.stdin.buffer.read() if arguments else None
    serve(CollectorConfig.from_environment() if told is None else CollectorConfig.model_validate_json(told))
    return 0


def serve(config: CollectorConfig) -> None:
    """Bind, tell the address on standard output, and serve. There is no access log: URLs and headers may hold
    secrets."""
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who is believed is our own setting (collector.source)
            log_config=None,
            timeout_graceful_shutdown=_STOP_SECONDS,
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=64 << 10,
        )
    )
    listener = _bind(config.host, config.port)
    host, port = listener.getsockname()[:2]
    # uvicorn stops on its own handler and then hands the signal on to this one: a stop that was asked for is
    # no failure.
    signal.signal(signal.SIGTERM, _ended)
    print(f"collector listening on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    server.run([listener])


def _ended(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(_BACKLOG)  # now, so that whoever reads the address can connect
    return listener


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
