"""Prometheus metrics of every Furrow process, in one place so that docs and code can be compared.

The processes of one installation share a directory (``PROMETHEUS_MULTIPROC_DIR``), so that the collector's
``GET /metrics`` tells about all of them.
"""

from prometheus_client import Counter

DEGRADED = Counter(
    "furrow_degraded_total",
    "Times a part of Furrow could not do its work and kept it pending, by part and reason.",
    ["component", "reason"],
)
EVENTS_LANDED = Counter("furrow_events_landed_total", "Events inserted into ClickHouse, resent ones included.")
RUNS_REFUSED = Counter(
    "furrow_runs_refused_total", "Runs that the engine refused: of no deployment of Furrow, or changed."
)
SEGMENTS_LANDED = Counter("furrow_segments_landed_total", "Spool segments inserted into ClickHouse.")
SUSPECTS = Counter(
    "furrow_suspicious_senders_total",
    "Times a sender showed more new incidents within an hour than one address may.",
)
SUSPICIOUS_KEYS = Counter(
    "furrow_suspicious_keys_total",
    "Times an ingest key showed more new incidents within an hour than one key may.",
)
OPEN_DETECTIONS = Counter(
    "furrow_open_detections_total",
    "Detections in sessions that go on: found, completed (the complete session shows them too), or retracted.",
    ["outcome"],
)


def count_open_detections(found: int = 0, completed: int = 0, retracted: int = 0) -> None:
    """Count what became of detections in sessions that go on."""
    for outcome, number in (("found", found), ("completed", completed), ("retracted", retracted)):
        OPEN_DETECTIONS.labels(outcome).inc(number)


def count_degraded(component: str, reason: str) -> None:
    """Count one fallback of ``component``; ``reason`` is a short fixed word, never text from outside."""
    DEGRADED.labels(component, reason).inc()
