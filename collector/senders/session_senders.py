"""Makes the receipts of a request's sessions (``collector.senders.receipts``).

For a trusted sender, each session counts as a source of its own. Trusted are requests with an operator key beside the ingest
key, and clients on this machine that connect directly to a collector on loopback.
"""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from collector.config import CollectorConfig
from collector.contract import Row
from collector.senders.receipts import SALTS, DailySalts, Receipt, encode_receipts, hash_source
from collector.senders.source import UNKNOWN, SourceReader
from core.ingest_keys import number_ingest_key
from core.networks import parse_networks

_LOCALHOST: Final = frozenset({"localhost", "localhost.localdomain"})


class ReceiptMaker:
    """Makes the receipts of requests."""

    def __init__(self, config: CollectorConfig) -> None:
        proxies = parse_networks(config.trusted_proxies)
        self._reader = SourceReader(proxies)
        self._salts = DailySalts(config.spool_dir.parent / SALTS)
        # Where proxies are trusted, a request from this machine may come from anybody behind another proxy on it.
        self._local = _is_loopback_host(config.host) and not proxies

    def make_receipt_lines(self, request: Request, rows: Iterable[Row], *, key_hash: str, trusted: bool) -> bytes:
        """The receipts of the sessions in ``rows`` (of one project and one receipt time) as JSON lines; empty without rows.

        ``key_hash``: SHA-256 (hex) of the request's ingest key. ``trusted``: it has an operator key beside that, or instead.
        """
        sessions = {(row.project, row.session_id): row.received_ms for row in rows}
        if not sessions:
            return b""
        own = trusted or self.is_local_client(request)
        sender = self._reader.find_request_source(request)
        now = datetime.fromtimestamp(next(iter(sessions.values())) / 1000, UTC)
        today, before = self._salts.read_salt_pair(now)
        key = 0 if own else number_ingest_key(key_hash)
        made = []
        for (project, session_id), received_ms in sessions.items():
            name = ("session", project, session_id) if own else ("address", project, sender)
            hashes = (0, 0) if not own and sender == UNKNOWN else (hash_source(today, name), hash_source(before, name))
            made.append(Receipt(*hashes, project, session_id, received_ms, key))
        return encode_receipts(made)

    def is_local_client(self, request: Request) -> bool:
        """Whether the request comes from a client on this machine to a collector on loopback, without a proxy between.

        A proxy on this machine is recognized by a header, by HTTP/1.0, or by the public name of the site that it serves.
        """
        peer = request.client.host if request.client else ""
        if (
            not (self._local and _is_loopback_host(peer) and self._reader.is_direct_request(request))
            or request.scope.get("http_version") == "1.0"
        ):
            return False
        origin = request.headers.get("origin")
        return _names_loopback(f"//{request.headers.get('host', '')}") and (origin is None or _names_loopback(origin))


@lru_cache(maxsize=1_024)  # strangers choose the texts: bounded
def _names_loopback(url: str) -> bool:
    name = urlsplit(url).hostname
    return name is not None and _is_loopback_host(name)


@lru_cache(maxsize=1_024)
def _is_loopback_host(host: str) -> bool:
    if host.lower() in _LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
