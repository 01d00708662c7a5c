"""Prometheus metrics of the collector."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

EVENTS_ACCEPTED = Counter("furrow_events_accepted_total", "Events that are durable and were answered with 202.")
EVENTS_REJECTED = Counter(
    "furrow_events_rejected_total", "Events that broke a rule of the contract, by field.", ["field"]
)
REQUESTS = Counter("furrow_intake_requests_total", "Answers of POST /v1/events, by status.", ["status"])
CONNECTIONS_CLOSED = Counter(
    "furrow_connections_closed_total",
    "Connections closed because they waited too long (late) or to make room for others (room, peer, full).",
    ["reason"],
)
BAD_REQUESTS = Counter("furrow_bad_requests_total", "Requests that are not HTTP/1.1 or are ambiguous.")
REFUSED = Counter("furrow_refused_total", "Requests refused by a limit, by limit.", ["limit"])
NAMES_FOLDED = Counter(
    "furrow_names_folded_total",
    "Events whose route, control (target) or request's address (url) was folded to `other`: their session named too many.",
    ["kind"],
)
DEAD_LETTERS_COUNTED = Counter(
    "furrow_dead_letters_counted_total", "Rejected events that were only counted, not kept, by field.", ["field"]
)
STREAM_EVENTS = Counter("furrow_stream_events_total", "Events of other SDKs' streams that are durable.", ["stream"])
STREAM_REJECTS = Counter(
    "furrow_stream_rejects_total",
    "Items (item) and whole bodies (unreadable) of other SDKs' streams that became no event.",
    ["stream", "reason"],
)
STREAM_IGNORED = Counter(
    "furrow_stream_ignored_total", "Items of other SDKs' streams that are not for Furrow.", ["stream"]
)
STREAM_REQUESTS = Counter(
    "furrow_stream_requests_total",
    "Answers of /intake/…, by stream (`other`: none of that name) and status.",
    ["stream", "status"],
)
WEBHOOKS = Counter(
    "furrow_webhooks_total",
    "Webhooks of trackers: noted (a ticket is read soon), unknown (no ticket of Furrow), refused (signature), late, "
    "unreadable, unavailable (no store).",
    ["tracker", "outcome"],
)
COMMIT_SECONDS = Histogram(
    "furrow_spool_wait_seconds",
    "Seconds from validation to durability of one request.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
)

LAG_SECONDS = Gauge(
    "furrow_lag_seconds",
    "How long the oldest work has waited to land, be read by detect, or be analysed; detect's part is up to a minute old.",
    multiprocess_mode="mostrecent",
)


def render_metrics() -> bytes:
    """All metrics in the text format of Prometheus; of all processes of the installation when they share a directory
    (PROMETHEUS_MULTIPROC_DIR)."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
