"""What a public key may do in the hand of one visitor: events a second, sessions an hour, names in a session.

All limits hold for a key and for a sender's address, in the memory of this process. The address serves as a hash with a salt
that this process makes each day (UTC) and never writes: nothing here can be stored. Requests of a trusted sender (an operator
key beside the ingest key, a person on this machine) have none of these limits.
"""

import hashlib
import re
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from collector.access.callers import rate_limit_error
from collector.access.keys import Grant
from collector.config import CollectorConfig
from collector.contract import Row
from collector.metrics import NAMES_FOLDED
from collector.privacy.cache import CACHED_LENGTH, Cache
from collector.spool.quota import Owner
from collector.transport.limits import FairLimit, RateLimit

OTHER: Final = "other"
"""Stands for each control that a session names beyond its limit."""
OTHER_ROUTE: Final = "/other"
"""Stands for each route, and each address of a request, that a session names beyond its limit."""
_HOUR: Final = 3_600.0
_DAY: Final = 86_400
_MAX_HASHES: Final = 4_096
_MAX_SESSIONS: Final = 50_000
_MAX_NAMES: Final = 400_000  # of all sessions together; at most about 40 MB
# Two pages of one kind differ in such parts; the engine folds them away, too.
_ID: Final = re.compile(r"[a-fA-F]{0,8}\d[\da-fA-F-]*")


def name_code(name: str) -> int:
    """A hash of ``name``, in this process; the same for names that differ in numbers and ids alone."""
    return hash(_ID.sub("0", name))


_CODES: Final = Cache(name_code)
"""The pages of a site have the same names in all sessions."""


class SenderNames:
    """Hashes addresses for the tables of this process, and remembers the hashes of the day, as long as they are few."""

    def __init__(self) -> None:
        self._day = ""
        self._salt = b""
        self._hashes: dict[str, str] = {}

    def hash_sender(self, source: str, day: str = "") -> str:
        """The hash of ``source`` on ``day`` (``2026-01-31``; default: today, UTC), 16 hex digits."""
        day = day or _name_day(int(time.time() // _DAY))
        if day != self._day or len(self._hashes) > _MAX_HASHES:
            self._hashes = {}
        if day != self._day:
            self._day, self._salt = day, secrets.token_bytes(32)
        known = self._hashes.get(source)
        if known is None:
            known = hashlib.blake2b(source.encode(), key=self._salt, digest_size=8).hexdigest()
            self._hashes[source] = known
        return known


@lru_cache(maxsize=2)
def _name_day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY, UTC).date().isoformat()


class _Names:
    """The distinct names of one session, as hashes: routes, controls, addresses of requests."""

    __slots__ = ("routes", "targets", "urls")

    def __init__(self) -> None:
        self.routes: set[int] = set()
        self.targets: set[int] = set()
        self.urls: set[int] = set()

    @property
    def size(self) -> int:
        return len(self.routes) + len(self.targets) + len(self.urls)


class SessionNames:
    """The sessions that sent events lately, with their names. A full table forgets the session that was silent longest."""

    def __init__(
        self, routes: int, targets: int, *, max_sessions: int = _MAX_SESSIONS, max_names: int = _MAX_NAMES
    ) -> None:
        """``routes``: distinct routes, and distinct addresses of requests, that a session may name; ``targets``: controls."""
        self._routes = routes
        self._targets = targets
        self._max_sessions = max_sessions
        self._max_names = max_names
        self._known: OrderedDict[tuple[str, str], _Names] = OrderedDict()
        self.size = 0
        """Names of all sessions."""

    def __len__(self) -> int:
        return len(self._known)

    def is_known(self, project: str, session_id: str) -> bool:
        """Whether the session is in the table."""
        return (project, session_id) in self._known

    def fold_names(self, rows: Sequence[Row]) -> Counter[str]:
        """Replace the names in ``rows`` that exceed the limits of their sessions. Returns how many, by kind of name."""
        folded: Counter[str] = Counter()
        for (project, session_id), run in groupby(rows, _session_of_row):
            names = self._find_names(project, session_id)
            before = names.size
            self._fold_run(names, run, folded)
            self.size += names.size - before
        self._forget_sessions()
        return folded

    def _fold_run(self, names: _Names, run: Iterable[Row], folded: Counter[str]) -> None:
        # This is on the way of every event: a name that the run had before is found in one step.
        routes, urls, targets = {""}, {""}, {""}
        for row in run:
            if row.route not in routes and not _admit(names.routes, row.route, self._routes, routes):
                row.route = OTHER_ROUTE
                folded["route"] += 1
            if row.nav_from not in routes and not _admit(names.routes, row.nav_from, self._routes, routes):
                row.nav_from = OTHER_ROUTE
                folded["route"] += 1
            if row.url not in urls and not _admit(names.urls, row.url, self._routes, urls):
                row.url = OTHER_ROUTE
                folded["url"] += 1
            control = row.target_id or row.target_selector or row.target_label
            if control not in targets and not _admit(names.targets, control, self._targets, targets):
                row.target_id, row.target_selector, row.target_label = OTHER, "", ""
                folded["target"] += 1

    def _find_names(self, project: str, session_id: str) -> _Names:
        key = (project, session_id)
        names = self._known.get(key)
        if names is None:
            names = self._known[key] = _Names()
        else:
            self._known.move_to_end(key)
        return names

    def _forget_sessions(self) -> None:
        while len(self._known) > self._max_sessions or (self.size > self._max_names and len(self._known) > 1):
            self.size -= self._known.popitem(last=False)[1].size


def _session_of_row(row: Row) -> tuple[str, str]:
    return row.project, row.session_id


def _admit(known: set[int], name: str, limit: int, admitted: set[str]) -> bool:
    """Whether a session with the names ``known`` may have ``name``, which then is in both sets."""
    code = _CODES[name] if len(name) <= CACHED_LENGTH else name_code(name)
    if code not in known:
        if len(known) >= limit:
            return False
        known.add(code)
    admitted.add(name)
    return True


class Sender(NamedTuple):
    """Who sends a request: its grant, its source, and whether the limits of visitors hold for it."""

    grant: Grant
    source: str
    trusted: bool


class VisitorLimits:
    """The limits of visitors. Use it on the event loop."""

    def __init__(self, config: CollectorConfig) -> None:
        part = min(1.0, config.source_events_per_second / config.events_per_second)
        self._events = FairLimit(config.events_per_second, part)
        self._key_sessions = RateLimit(config.sessions_per_hour / _HOUR, _HOUR)
        self._source_sessions = RateLimit(config.source_sessions_per_hour / _HOUR, _HOUR)
        self._sessions = SessionNames(config.session_routes, config.session_targets)
        self._senders = SenderNames()

    def find_owner(self, sender: Sender) -> Owner:
        """Whose bytes the request's events are in the spool."""
        return Owner(sender.grant.project, "" if sender.trusted else self._senders.hash_sender(sender.source))

    def check_event_rate(self, sender: Sender) -> None:
        """Check the events that a key and an address sent, before a body is read. Raises ApiError (429)."""
        if sender.trusted:
            return
        hashed = self._senders.hash_sender(sender.source)
        refusal = self._events.find_refusal(sender.grant.key_hash, hashed, time.monotonic())
        if refusal:
            raise rate_limit_error("events", "too many events with this key or from this address", refusal.wait)

    def admit_events(self, sender: Sender, rows: Sequence[Row], sent: int) -> None:
        """Count the ``sent`` events of a request whose valid ones are ``rows``, and fold names in them.

        Raises ApiError (429) when the request begins sessions beyond the limit; then nothing of it was counted but its events.
        """
        if sender.trusted:
            return
        now, hashed = time.monotonic(), self._senders.hash_sender(sender.source)
        self._events.count_request(sender.grant.key_hash, hashed, now, units=sent)
        self._count_new_sessions(sender.grant, hashed, rows, now)
        for kind, number in self._sessions.fold_names(rows).items():
            NAMES_FOLDED.labels(kind).inc(number)

    def _count_new_sessions(self, grant: Grant, hashed: str, rows: Sequence[Row], now: float) -> None:
        named = {(row.project, row.session_id) for row in rows}
        new = sum(not self._sessions.is_known(*session) for session in named)
        if not new:
            return
        wait = max(
            self._key_sessions.find_wait_seconds(grant.key_hash, now),
            self._source_sessions.find_wait_seconds(hashed, now),
        )
        if wait:
            raise rate_limit_error("sessions", "too many new sessions with this key or from this address", wait)
        self._key_sessions.take_tokens(grant.key_hash, now, units=new)
        self._source_sessions.take_tokens(hashed, now, units=new)
