"""The limits of the event contract."""

from typing import Final

MAX_EVENTS: Final = 1_000
REPLAY_HEADER: Final = "x-furrow-replay"
"""Header of a batch of dead letters, with their project: events that are rejected again are not kept a second time."""
MAX_BODY_BYTES: Final = 1 << 20
MAX_METADATA_BYTES: Final = 8 << 10
MAX_SESSION_ID: Final = 128
MAX_ROUTE: Final = 512
MAX_LABEL: Final = 80
MAX_EVENT_ID: Final = 128
MAX_EVENT_IDS: Final = 4_096
"""Characters of a list of them."""
MAX_USER_ID: Final = 512
MAX_IDEMPOTENCY_KEY: Final = 512
MAX_TIMESTAMP: Final = 64
MAX_CLICKS: Final = 100
"""Clicks that one event may stand for; a larger `count` is unknown."""
MAX_SPAN_MS: Final = 60_000
MAX_FIELD_SHOWN: Final = 64
"""Characters of a metadata key that a rejection names."""
SKEW_TOLERANCE_MS: Final = 5_000
"""As ``TOLERANCE_MS`` of ``ufse.clocks``; repeated here, because the collector starts without Arrow and the engine."""
MAX_FUTURE_MS: Final = 3_600_000

UNKNOWN_POSITION: Final = -(2**31)
"""As in ``ufse.columns``; repeated here, because the collector starts without Arrow and the engine."""

MAX_NAME = 512  # characters of an id, a selector, a version, a user agent; the rest is cut
MAX_TEXT = 2_048  # characters of `message` and `source` columns; `metadata` keeps the whole text
MAX_DEAD_LETTER_BYTES = 64 << 10
MAX_TIMESTAMP_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant of RFC 3339
INT64: Final = 2**63 - 1
