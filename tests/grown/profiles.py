"""What each SDK reports and what it keeps to itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """The eyes of one SDK, as the recordings (and their README) show them."""

    name: str
    shop: float
    lab: float
    clicks: str = "enabled"
    early: bool = False
    requests: str = "none"
    documents: bool = False
    page_status: bool = False
    page_time: bool = False
    titles: bool = False
    crashes: bool = False
    files: str = ""
    submits: bool = False
    changes: bool = False
    focuses: bool = False
    scrolls: bool = False
    leaves: bool = False
    places: bool = False
    pushes: bool = False
    how: bool = False
    text_time: bool = False
    keys: bool = False
    resends: float = 0.0
    keeps: bool = True


PROFILES = (
    Profile("datadog", 3, 3, "all", True, "all", True, crashes=True, files="request", places=True, pushes=True),
    Profile("sentry", 2, 2.5, "enabled", True, "all", crashes=True, pushes=True, keeps=False),
    Profile("otel", 2, 2.5, "enabled", True, "all", submits=True),
    Profile("posthog", 3, 3, titles=True, crashes=True, submits=True, changes=True, pushes=True, keys=True),
    Profile("amplitude", 2, 2, requests="failed", titles=True, submits=True, changes=True, keys=True, resends=0.2),
    Profile("mixpanel", 2, 1.2, submits=True, scrolls=True, leaves=True, places=True, keys=True, resends=0.3),
    Profile(
        "snowplow",
        2,
        1.2,
        titles=True,
        crashes=True,
        files="error",
        submits=True,
        changes=True,
        focuses=True,
        keys=True,
    ),
    Profile("segment", 1.4, 1, titles=True, submits=True, text_time=True, keys=True),
    Profile("rudderstack", 1.4, 1, titles=True, submits=True, text_time=True, keys=True, resends=0.15),
    Profile(
        "faro",
        1.5,
        2,
        "none",
        True,
        "all",
        page_status=True,
        page_time=True,
        crashes=True,
        how=True,
        text_time=True,
        keeps=False,
    ),
    Profile("elastic", 1, 1.5, "asking", True, "all", page_time=True, crashes=True),
    Profile("rrweb", 1.2, 0.8, "all", places=True),
)

LAST_VISIT = {"datadog", "sentry", "faro"}
