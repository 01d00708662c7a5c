"""Prometheus metrics of the collector."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

EVENTS_ACCEPTED = Counter("furrow_events_accepted_total", "Events that were made durable and answered with 202.")
EVENTS_REJECTED = Counter(
    "furrow_events_rejected_total", "Events that broke a rule of the contract, by field.", ["field"]
)
REQUESTS = Counter("furrow_intake_requests_total", "Answers of POST /v1/events, by status.", ["status"])
CONNECTIONS_CLOSED = Counter(
    "furrow_connections_closed_total",
    "Connections that were closed because they waited too long (late), to make room for others (room, peer, full).",
    ["reason"],
)
BAD_REQUESTS = Counter("furrow_bad_requests_total", "Requests that are not HTTP/1.1 or can be read in two ways.")
REFUSED = Counter("furrow_refused_total", "Requests refused by a limit, by which one.", ["limit"])
DEAD_LETTERS_COUNTED = Counter(
    "furrow_dead_letters_counted_total", "Rejected events that were counted and not kept, by field.", ["field"]
)
COMMIT_SECONDS = Histogram(
    "furrow_spool_wait_seconds",
    "Time from validated to durable, of one request.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
)

LAG_SECONDS = Gauge(
    "furrow_lag_seconds",
    "How long the oldest work waits to be landed, read by detect, or analysed; at most a minute late in what detect did.",
    multiprocess_mode="mostrecent",
)


def render_metrics() -> bytes:
    """All metrics as Prometheus text; of every process of the installation when they share a directory for
    it."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
