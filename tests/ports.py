"""Ports for servers that tests start."""

import itertools
import os
import random
import socket
from contextlib import suppress

_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_MOST_WORKERS = 16
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _MOST_WORKERS
_OWN = range(_FIRST_PORT + _WORKER, _LAST_PORT, _MOST_WORKERS)
_ports = itertools.cycle(random.sample(_OWN, len(_OWN)))


def free_port() -> int:
    """A port that nobody listens on, and that is not returned again soon.

    It lies below the range from which Linux chooses ports by itself, and no other worker of the run uses it: between this
    call and the moment at which the server listens, no other test can take it.
    """
    for port in itertools.islice(_ports, len(_OWN)):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has ended keeps it from nobody
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
