"""Numbers, names and messages in the documents are those of the code."""

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from collector.access import callers
from collector.config import CollectorConfig
from collector.routes import registry, streams
from collector.routes.events import KEYLESS_BYTES
from collector.routes.route import list_routes
from collector.spool.dead_letters import KEPT_OF_REASON
from collector.streams.registry import STREAMS
from collector.transport import protocol
from collector.transport.body import LEAST_BYTES_PER_SECOND
from collector.transport.connections import Waits
from core import health, kept_secrets
from core.errors import TransientError
from core.settings import Settings
from flows import detect
from furrow.engine.worker import SUPERSEDED
from furrow.installation import backup
from incidents.lifecycle import ConfirmRule
from incidents.model import TicketClaim
from stores.events.event_receipts import KEEP_DAYS
from stores.events.event_store import SLICE_EVENTS
from stores.incidents import alert_outbox, silences
from stores.incidents.incident_flood import INDEPENDENT_AT_MOST
from stores.incidents.incident_key_flood import INDEPENDENT_TIMES
from tasks import erase, export, replay, retention
from tests.corpus.write import KINDS as CORPUS
from tests.labelled.kinds import KINDS as LABELLED
from tests.unit.scripts.test_docs import ROOT, text

WORDS = {3: "three", 8: "eight", 5_000: "five thousand", 500_000: "half a million"}
WAITS = Waits()
RULE = ConfirmRule()
CONFIG = CollectorConfig.model_fields

OPERATING = (
    # what runs
    f"within {health.COLLECTOR.silent_s:.0f} s |",
    f"`GET /api/health` within {health.PREFECT.silent_s:.0f} s",
    f"`beats/worker` within {health.WORKER.silent_s:.0f} s, the lander's `beats/lander` within "
    f"{health.LANDER.silent_s / 60:.0f} min",
    f"with any result, within {health.POSTGRES.silent_s:.0f} s",
    f"After a start, a part gets {health.START_S:.0f} s for its first answer",
    # deployments
    f"{WORDS[SLICE_EVENTS]} landed events at a time",
    f"{WORDS[detect.BATCH]} complete sessions at a time",
    f"Outcomes of open detections are kept for {WORDS[retention.ENDED_DAYS]} days",
    f"[near misses](review.md) after {silences.KEPT_DAYS} days",
    f"[alerts](alerts.md) {alert_outbox.KEPT_DAYS} days after they were sent",
    f"at most {replay.EXAMPLES_OF_POINT} for one failure point, and `--json` up to {replay.EXAMPLES}",
    f"Receipts are deleted after {WORDS[KEEP_DAYS]} days",
    f"runs that began earlier (up to {erase.RUNS_SECONDS / 60:.0f} min)",
    "twice at once, then after two minutes, doubling to an hour",
    # who is counted
    f"`FURROW_CONFIRM_PER_SOURCE` sessions ({RULE.per_source})",
    f"`FURROW_CONFIRM_SESSIONS` ({RULE.min_sessions})",
    f"`FURROW_NEW_INCIDENTS_PER_HOUR` ({RULE.new_per_hour})",
    f"`FURROW_NEW_INCIDENTS_PER_SOURCE` ({RULE.new_per_source})",
    f"`FURROW_NEW_INCIDENTS_PER_KEY` ({RULE.new_per_key})",
    f"at most {WORDS[INDEPENDENT_AT_MOST]} incidents of the flood",
    f"{WORDS[INDEPENDENT_TIMES]} times as many independent sources show it as the rule asks sessions "
    f"({INDEPENDENT_TIMES * RULE.min_sessions})",
    # limits of the intake
    f"| one in two seconds, {CONFIG['guesses_per_second'].default * callers._GUESS_BURST_SECONDS:.0f} in a burst |",
    f"keys of fewer than {callers._LONG_KEY} characters",
    f"| {CONFIG['max_in_flight'].default}, of one source half of them; without a key in the header "
    f"{CONFIG['max_in_flight'].default // 4}, each of {KEYLESS_BYTES >> 10} KiB",
    f"| {CONFIG['body_seconds'].default:.0f} s; at least {LEAST_BYTES_PER_SECOND:,} bytes a second",
    f"| {protocol.MAX_HEADER_BYTES >> 10} KiB, {protocol.MAX_HEADER_FIELDS} fields, "
    f"{protocol.MAX_TARGET_BYTES >> 10} KiB for its first line |",
    f"| {WAITS.request:.0f} s for the head of a request, {WAITS.idle:.0f} s idle, {WAITS.take:.0f} s to take an answer, "
    f"{WAITS.rest:.0f} s to end a body",
    f"{KEPT_OF_REASON:,} for each reason, and 1/32 of the {CONFIG['dead_letter_max_bytes'].default >> 20} MiB",
)


def one_line(name: str) -> str:
    """A page without its line breaks."""
    return re.sub(r"\s+", " ", text(name))


@pytest.mark.parametrize("told", OPERATING)
def test_the_page_for_operators_tells_the_numbers_of_the_code(told: str) -> None:
    assert told in one_line("docs/operating.md")


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 0), (2, 0), (3, 120), (4, 240), (20, 3_600)])
def test_a_ticket_waits_as_long_as_the_page_for_operators_says(attempts: int, seconds: int) -> None:
    """Within the jitter of a quarter."""
    claim = cast(TicketClaim, SimpleNamespace(attempts=attempts))
    waits = (export._retry_at(claim, TransientError("away")) - datetime.now(UTC)).total_seconds()
    assert seconds * 0.75 - 1 <= waits <= seconds * 1.25


@pytest.mark.parametrize(
    ("page", "module", "words"),
    [
        ("docs/operating.md", "furrow/engine/worker.py", SUPERSEDED.partition(",")[0]),
        ("docs/operating.md", "furrow/engine/stranded.py", "No process executes this run."),
        ("docs/operating.md", "furrow/engine/stranded.py", "The process of this run was stopped."),
        ("docs/server-mode.md", "furrow/engine/process_worker.py", "The worker was stopped."),
    ],
)
def test_the_messages_of_runs_are_told_as_they_are(page: str, module: str, words: str) -> None:
    assert words in (ROOT / module).read_text()
    assert words in one_line(page)


def test_the_setting_of_a_bare_collector_names_what_it_serves() -> None:
    told = set(re.findall(r"`(/[^`]*)`", Settings.model_fields["events_api_only"].description or ""))
    served = {route.path for route in list_routes(registry.GROUPS) if route.intake} - {"/furrow-{version}.js"}
    assert {re.sub(r"\{.*", "", path) for path in served} == told


def test_bodies_of_streams_are_as_large_as_is_told() -> None:
    rows = dict(re.findall(r"^\| \[`(\w+)`\].*\| (\d+) MiB \|$", text("docs/streams.md"), re.M))
    assert rows == {stream.name: str(min(stream.max_bytes, streams.LARGEST_BYTES) >> 20) for stream in STREAMS}


def test_the_first_page_tells_the_sizes_of_the_corpora() -> None:
    page = text("README.md")
    calm = sum(not kind.frustrated for kind in CORPUS.values())
    assert f"| `tests.corpus` | {len(CORPUS)} situations, {calm} of them only look like frustration |" in page
    assert f"| `tests.labelled` | {len(LABELLED)} kinds" in page


def test_a_backup_holds_the_files_that_the_page_tells_and_leaves_out_the_others(tmp_path: Path) -> None:
    page = " ".join(text("docs/operating.md").split())
    held = re.search(r"keys that the installation made for itself \((.*?);", page)
    left_out = re.search(r"\* Prefect's password \((.*?)\)", page)
    assert held
    assert left_out
    kept, missing = (set(re.findall(r"`([\w-]+)`", found[1])) for found in (held, left_out))
    assert (kept, missing) == ({kept_secrets.INGEST_KEY, kept_secrets.OPERATOR_KEY}, {kept_secrets.PREFECT_AUTH})
    settings = Settings(data_dir=tmp_path / "data")
    settings.spool_dir.mkdir(parents=True)
    for name in (*kept, *missing, kept_secrets.USER_SALT, "spool/segment.jsonl"):
        (settings.data_dir / name).write_text("x")
    (tmp_path / "files").mkdir()
    backup._copy_spool_and_secrets(settings, tmp_path / "files")
    copied = {str(file.relative_to(tmp_path / "files")) for file in (tmp_path / "files").rglob("*") if file.is_file()}
    assert copied == {*kept, kept_secrets.USER_SALT, "spool/segment.jsonl"}
