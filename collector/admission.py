"""What every endpoint for events shares: who may send, within which limits, and how events become durable.

There is one `Admission` for all of them: a sender that uses two endpoints does not get twice the limits.
"""

import time

from fastapi import Request

from collector.access.callers import Gate, Rates, rate_limit_error, require_named_project
from collector.access.keys import Grant, KeyRing
from collector.access.visitor_limits import Sender, VisitorLimits
from collector.config import CollectorConfig
from collector.contract import Batch
from collector.http_errors import ApiError
from collector.metrics import COMMIT_SECONDS, EVENTS_ACCEPTED, EVENTS_REJECTED
from collector.senders.session_senders import ReceiptMaker
from collector.spool.dead_letters import LetterBudget
from collector.spool.quota import Owner, QuotaFull
from collector.spool.spool import Spool
from core.errors import TransientError

OPERATOR_HEADER = "x-operator-key"
"""Header with an operator key beside the ingest key: each session of the request counts as a source of its own."""


class Admission:
    """The checks of a request for events before and after its body is read, and the way of its events to the disk."""

    def __init__(self, config: CollectorConfig, keys: KeyRing, gate: Gate, spool: Spool, letters: LetterBudget) -> None:
        self._keys = keys
        self._gate = gate
        self._spool = spool
        self._letters = letters
        self._receipts = ReceiptMaker(config)
        self.rates = Rates(keys, config.requests_per_second, config.source_part, config.source_bytes_per_second)
        self._visitors = VisitorLimits(config)

    def require_sender(self, key: str | None, request: Request) -> Sender:
        """Who sends the request: its key, its origin and its rates are checked. Raises ApiError (401, 403, 429, 503)."""
        grant = self._require_ingest_grant(key, request)
        trusted = self._is_vouched_for(request, grant.project) or self._receipts.is_local_client(request)
        sender = Sender(grant, self._gate.find_request_source(request), trusted)
        self._visitors.check_event_rate(sender)
        return sender

    def may_origin_send(self, origin: str, request: Request, project: str | None) -> bool:
        """Whether pages of ``origin`` may send events of ``project``; None: of any project."""
        scheme, _, host = origin.partition("://")
        if host and host == request.headers.get("host") and scheme in ("http", "https"):
            return True  # a page from the collector's own address
        return (
            self._keys.allows_origin_somewhere(origin) if project is None else self._keys.allows_origin(origin, project)
        )

    async def store_batch(
        self, request: Request, sender: Sender, batch: Batch, body_bytes: int, *, keep_letters: bool = True
    ) -> None:
        """Make the events of ``batch`` durable. ``body_bytes``: the body as sent; its dead letters have a part of that as
        their room, and are not kept at all without ``keep_letters``. Raises ApiError (429, 503)."""
        grant, source = sender.grant, sender.source
        self._visitors.admit_events(sender, batch.rows, len(batch.rows) + len(batch.rejects))
        letters = b""
        if keep_letters:
            letters = self._letters.select_kept_letters(batch, grant.project, grant.key_hash, source, body_bytes)
        receipts = self._receipts.make_receipt_lines(
            request, batch.rows, key_hash=grant.key_hash, trusted=sender.trusted
        )
        await self.make_durable(batch, letters, receipts, self._visitors.find_owner(sender))

    async def store_operators_batch(
        self, request: Request, grant: Grant, batch: Batch, project: str, sent: int
    ) -> None:
        """As `store_batch`, for a system with an operator key; it has none of the limits of visitors."""
        source = self._gate.find_request_source(request)
        letters = self._letters.select_kept_letters(batch, project, grant.key_hash, source, sent)
        receipts = self._receipts.make_receipt_lines(request, batch.rows, key_hash=grant.key_hash, trusted=True)
        await self.make_durable(batch, letters, receipts, Owner(project, ""))

    async def make_durable(self, batch: Batch, letters: bytes, receipts: bytes, owner: Owner) -> None:
        """Write rows, dead letters and receipts; returns when they are on the disk. Raises ApiError (429, 503)."""
        began = time.monotonic()
        try:
            # Events stay accepted when the sender closes the connection.
            await self._spool.append_on_loop(batch.encode_rows(), len(batch.rows), letters, receipts, owner)
        except QuotaFull as error:
            raise rate_limit_error("spool", str(error), error.retry_after or 5) from None
        except TransientError as error:
            raise ApiError(503, "not_durable", str(error), retry_after=error.retry_after or 5) from None
        COMMIT_SECONDS.observe(time.monotonic() - began)
        EVENTS_ACCEPTED.inc(len(batch.rows))
        for reject in batch.rejects:
            EVENTS_REJECTED.labels(reject.field.partition(".")[0]).inc()

    def _require_ingest_grant(self, key: str | None, request: Request) -> Grant:
        grant = self._gate.require_grant(request, key, "ingest")
        origin = request.headers.get("origin")
        if origin is not None and not self.may_origin_send(origin, request, grant.project):
            raise origin_refused_error()
        self.rates.check_request_rate(grant, grant.project, self._gate.find_request_source(request))
        return grant

    def _is_vouched_for(self, request: Request, project: str) -> bool:
        """Whether the request has an operator key beside the ingest key. Raises ApiError (401, 403) for an invalid one."""
        key = request.headers.get(OPERATOR_HEADER)
        if key is None:
            return False
        require_named_project(self._gate.require_grant(request, key.strip(), "operator"), project)
        return True


def origin_refused_error() -> ApiError:
    """403: the origin is in no list."""
    return ApiError(403, "origin_not_allowed", "this origin is not in the project's list")
