"""Commands that read files, `send`, `detect` and `evaluate`, and the command `mask`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NotRequired

import msgspec
import typer
from rich.table import Table
from typing_extensions import TypedDict

from collector.access.keys import TEST_KEY
from core.errors import PermanentError, WrongUse
from core.hosts import LOOPBACK_NAMES, host_of_url
from core.kept_secrets import INGEST_KEY, known_development_key
from core.plurals import format_count
from core.settings import Settings
from furrow import example_files
from furrow.cli import evaluated_verdicts, explained, replay, runs
from furrow.cli.common import (
    AsJson,
    Commands,
    ConfigFile,
    DataDir,
    PrefectPort,
    err,
    load_command_settings,
    out,
    print_json,
    sanitize_line,
    styled_text,
)
from furrow.cli.event_files import (
    SHOWN,
    Format,
    check_file_kind,
    describe_reject,
    parse_detect_format,
    parse_send_format,
    read_event_table,
)
from stores.opening import are_all_embedded

if TYPE_CHECKING:
    from ufse import Config, Evaluation, Result

_KEY_HELP = (
    "API key for sending events; default: FURROW_INGEST_KEY or, with embedded stores, the key in the data directory."
)

Events = Annotated[
    Path,
    typer.Argument(help="Events, one JSON object per line; plain or .gz.", parser=example_files.find_readable_file),
]


class Label(TypedDict):
    """A line of a file of labels."""

    sessionId: str
    frustrated: bool
    route: NotRequired[str]
    target: NotRequired[str]
    kind: NotRequired[str]


def send(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON lines, or an access log of a web server; plain or .gz.", parser=example_files.find_readable_file
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            parser=parse_send_format,
            metavar="NAME",
            help="events, combined, dead-letters, or a stream of another SDK: otlp, sentry, … (docs/streams.md).",
        ),
    ] = Format.events.value,
    url: Annotated[
        str, typer.Option("--url", help="Address of the collector; default: this machine, port FURROW_PORT.")
    ] = "",
    key: Annotated[str, typer.Option("--key", envvar="FURROW_KEY", help=_KEY_HELP)] = "",
    data_dir: DataDir = None,
    operator_key: Annotated[
        str,
        typer.Option(
            "--operator-key",
            help="Operator key. With it, each session counts as an independent source of its incident.",
        ),
    ] = "",
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="Maximum number of attempts per batch.")] = 8,
) -> None:
    """Send a file of events to a collector.

    The events are sent in batches over HTTP. Sending a file twice creates no duplicates.

    `--format combined` reads access logs of web servers, also of Caddy, IIS, CloudFront and AWS load balancers; a visitor
    is identified by a salted hash of address and user agent.
    `--format dead-letters` sends rejected events again (files in the directory `dead-letters` of the spool).
    `--format sentry` and the other streams (docs/streams.md, Files) read what the SDKs of other vendors sent: recorded
    requests, bodies and exports.
    """
    from furrow.clients.send import SendSummary, send_file

    check_file_kind(file, format)
    settings = load_command_settings(data_dir)
    address = url or f"http://127.0.0.1:{settings.port}"
    key = key or _find_ingest_key(settings, address)
    with err.status("sending") as status:

        def show_progress(so_far: SendSummary) -> None:
            status.update(f"sending: {so_far.accepted:,} accepted, {len(so_far.rejected):,} rejected")

        try:
            summary = send_file(
                file, address, key, format, operator_key=operator_key, attempts=attempts, progress=show_progress
            )
        except ValueError as error:
            raise PermanentError(f"{file.name} cannot be read: {error}") from error
    if summary.notice:
        err.print(styled_text(f"warning: {summary.notice}", "bold yellow"))
    summary_line = (
        f"{summary.accepted:,} accepted, {len(summary.rejected):,} rejected, {summary.failed:,} not delivered"
    )
    out.print(styled_text(summary_line + (f": {summary.problem}" if summary.problem else "")))
    for reject in summary.rejected[:SHOWN]:
        out.print(styled_text(f"  {describe_reject(reject.line, reject.field, reject.reason)}"))
    if len(summary.rejected) > SHOWN:
        out.print(f"  … and {len(summary.rejected) - SHOWN:,} more")
    raise typer.Exit(1 if summary.failed or (summary.rejected and not summary.accepted) else 0)


def _find_ingest_key(settings: Settings, address: str) -> str:
    """The key to send events with if there is no ``--key``. Raises PermanentError when none is known for ``address``."""
    known = settings.ingest_key or known_development_key(
        settings, INGEST_KEY, address, embedded=are_all_embedded(settings)
    )
    if known is not None:
        return known.get_secret_value()
    if host_of_url(address) in ("", *LOOPBACK_NAMES):
        return TEST_KEY  # a local collector with another data directory; sending rejects an address without a host
    raise PermanentError("a key is required: pass --key or set FURROW_KEY (`furrow keys create` creates one)")


def detect(
    file: Annotated[
        Path,
        typer.Argument(
            help="Events, one JSON object per line, or what another SDK sent; plain or .gz.",
            parser=example_files.find_readable_file,
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            parser=parse_detect_format,
            metavar="NAME",
            help="events, or a stream of another SDK: otlp, sentry, … (docs/streams.md). Default: recognised.",
        ),
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Also explain why the other sessions have no detection.")
    ] = False,
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines also on a terminal; this is the default elsewhere.")
    ] = False,
) -> None:
    """Detect frustration in a file of events or an access log.

    Runs the engine without stores and servers. Prints text on a terminal, otherwise JSON, one detection per line.

    With `--explain`, the sessions without a detection follow, each with the first rule that prevented one (in JSON as
    `{"whyNot": …}`). The events of the file belong to the project `default`. docs/configuration.md shows a file for
    `--config`.

    The file may also hold what the SDK of another vendor sent (docs/streams.md, Files). Its format is recognised, or named by
    `--format`.
    """
    with err.status(f"reading and analysing {file.name}"):
        result = _detect_in_file(file, config, explain, format)
    if sys.stdout.isatty() and not as_json:
        _print_detect_result(result, explain)
        return
    for detection in result.detections:
        _write_json_line(detection.to_json())
    for silent in result.why_not:
        _write_json_line({"whyNot": silent.to_json()})


def _detect_in_file(file: Path, config: Path | None, why_not: bool, format: str) -> "Result":
    """The engine's result for a file, whose other sessions are the history of each."""
    import ufse

    table, configs = read_event_table(file, format), _load_engine_configs(config)
    return ufse.detect(table, configs, why_not=why_not, history=ufse.learn_history(table, configs))


def _print_detect_result(result: "Result", explain: bool) -> None:
    for detection in result.detections:
        explained.print_detection(detection.to_json())
    for silent in result.why_not:
        explained.print_silence(silent.to_json())
    visits = format_count(len(result.visits), "visit")
    counts = f"{format_count(len(result.detections), 'detection')} in {visits}"
    out.print(
        styled_text(counts, "bold"),
        styled_text("" if explain else "; --explain shows why the other sessions have none"),
        sep="",
    )


def evaluate(
    events: Annotated[
        Path | None,
        typer.Argument(help="Events, one JSON object per line; plain or .gz.", parser=example_files.find_readable_file),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Argument(help="Labels, one JSON object per line; plain or .gz.", exists=True, dir_okay=False),
    ] = None,
    config: ConfigFile = None,
    window: Annotated[
        str,
        typer.Option(
            "--replay",
            metavar="WINDOW",
            help="Use stored events instead of files: of the last 7d, 24h, …, or of 2026-01-01..2026-01-08 (UTC).",
        ),
    ] = "",
    verdicts: Annotated[
        bool,
        typer.Option(
            "--verdicts", help="Use the sessions about which people decided on the review pages instead of files."
        ),
    ] = False,
    project: Annotated[
        str, typer.Option("--project", help="With --replay or --verdicts: only sessions of this project.")
    ] = "",
    timeout: runs.Timeout = 600,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: runs.PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Measure detection on labelled sessions.

    Prints precision, recall, a table by kind, the misses and the false alarms.

    A label: `{"sessionId": "…", "frustrated": true, "route": "/checkout", "target": "pay", "kind": "rage_5xx"}`. A failure
    point is correct if its route (with ids folded) equals the labelled route and its target's name contains the labelled
    target.

    With `--replay WINDOW --config NEW.toml`, it compares two configurations on stored events instead: which detections would
    appear, disappear or get other points with the new configuration. It starts a run of the deployment `replay` and shows its
    result; nothing is stored. Apply the configuration with `furrow projects set PROJECT --config NEW.toml`.

    With `--verdicts`, it analyses the stored sessions with a person's verdict again, with the engine and the exceptions of now,
    and prints the precision by project, signal and rule, each with its 95 % interval (Wilson).
    """
    if verdicts:
        if events or labels or window or config:
            raise WrongUse("--verdicts uses stored events and the settings of now: pass no files, --config or --replay")
        address = runs.find_prefect_address(prefect_url, prefect_port, data_dir)
        evaluated_verdicts.run_verdict_evaluation(project, address, timeout, as_json)
        return
    if window:
        if events or labels:
            raise WrongUse("--replay uses stored events: pass no files of events and labels")
        replay.run_replay(
            window, config, project, runs.find_prefect_address(prefect_url, prefect_port, data_dir), timeout, as_json
        )
        return
    if project:
        raise WrongUse("--project requires --replay or --verdicts")
    if events is None or labels is None:
        raise WrongUse("pass a file of events and a file of labels, or --replay WINDOW --config NEW.toml")
    _evaluate_files(events, labels, _load_engine_configs(config), as_json)


def _evaluate_files(events: Path, labels: Path, config: "dict[str, Config]", as_json: bool) -> None:
    import ufse

    label_rows = read_labels(labels)
    with err.status(f"reading and analysing {events.name}"):
        table = read_event_table(events)
        result = ufse.detect(table, config, why_not=True, history=ufse.learn_history(table, config))
    found = ufse.evaluate((detection.to_json() for detection in result.detections), label_rows)
    silent: dict[str, str] = {}
    for silence in (why.to_json() for why in result.why_not):
        # Of several visits, prefer one with negative feedback.
        if silence["rule"] != "no_negative_feedback" or silence["sessionId"] not in silent:
            silent[silence["sessionId"]] = silence["text"]
    if as_json:
        missed = [{**label, "whyNot": silent.get(str(label["sessionId"]))} for label in found.missed]
        print_json(found.to_json() | {"missed": missed})
    else:
        _print_evaluation(found, silent)


def _load_engine_configs(file: Path | None) -> "dict[str, Config]":
    """The engine's configuration by project: the defaults, overridden by ``file``."""
    from core.engine_settings import EngineSettings, read_engine_settings

    return (read_engine_settings(file)[0] if file else EngineSettings()).apply_to_configs({})


def read_labels(path: Path) -> list[Label]:
    """The labels of a file. Raises PermanentError that names the first invalid line."""
    from collector.contract import open_lines

    labels: list[Label] = []
    try:
        lines = list(open_lines(path))
    except ValueError as error:
        raise PermanentError(f"{path.name} cannot be read: {error}") from error
    for at, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            label = json.loads(raw)
        except UnicodeDecodeError:
            raise PermanentError(f"line {at} of the labels is not JSON: it is not text (UTF-8)") from None
        except ValueError as error:
            raise PermanentError(f"line {at} of the labels is not JSON: {sanitize_line(error)}") from error
        if problem := _label_problem(label):
            raise PermanentError(f"line {at} of the labels: {problem}")
        labels.append(label)
    return labels


def _label_problem(label: object) -> str:
    if not isinstance(label, dict):
        return "a label must be a JSON object"
    if not isinstance(label.get("sessionId"), str) or not label["sessionId"]:
        return "`sessionId` must be text"
    if not isinstance(label.get("frustrated"), bool):
        return "`frustrated` must be true or false"
    return next(
        (f"`{name}` must be text" for name in ("route", "target", "kind") if not isinstance(label.get(name, ""), str)),
        "",
    )


def _write_json_line(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _print_evaluation(found: "Evaluation", silent: Mapping[str, str]) -> None:
    kinds = Table("kind", "label", title="Labelled sessions by kind", title_justify="left")
    for name in ("sessions", "detected", "point right"):
        kinds.add_column(name, justify="right")
    for figures in sorted(found.by_kind.values(), key=lambda row: (not row.frustrated, row.kind)):
        wrong = figures.detected if not figures.frustrated else figures.sessions - figures.detected
        right = f"{figures.point_right:,}" if figures.frustrated else ""
        label = "frustrated" if figures.frustrated else "calm"
        cells = (figures.kind or "-", label, f"{figures.sessions:,}", f"{figures.detected:,}", right)
        kinds.add_row(*(styled_text(cell) for cell in cells), style="red" if wrong else "")
    out.print(kinds)
    _print_labels("Missed", found.missed, silent)
    _print_labels("False alarms", found.false_alarms, {})
    _print_labels("Right session, wrong failure point", found.wrong_points, {})
    if found.unlabelled:
        out.print(
            f"{format_count(len(found.unlabelled), 'session')} with a detection but without a label: not counted",
            style="yellow",
        )
    hits, alarms = found.true_positives, found.false_positives
    out.print(f"precision               {found.precision:.4f}  ({hits:,} of {hits + alarms:,} detected sessions)")
    frustrated = hits + found.false_negatives
    out.print(f"recall                  {found.recall:.4f}  ({hits:,} of {frustrated:,} frustrated sessions)")
    out.print(f"failure point accuracy  {found.point_accuracy:.4f}  ({found.points_right:,} of {hits:,} hits)")


def _read_detected(label: Mapping[str, object]) -> list[str]:
    detected = label.get("detected")
    return [str(point) for point in detected] if isinstance(detected, list) else []


def _print_labels(title: str, labels: Sequence[Mapping[str, object]], silent: Mapping[str, str]) -> None:
    if not labels:
        return
    out.print(f"{title} ({len(labels):,})", style="bold")
    for label in labels[:SHOWN]:
        where = " › ".join(str(label[name]) for name in ("route", "target") if label.get(name))
        why = "; ".join(_read_detected(label)) or silent.get(str(label["sessionId"]), "")
        out.print(styled_text(f"  {label['sessionId']}  {label.get('kind', '')}  {where}"))
        if why:
            out.print(styled_text(f"      {why}", "dim"))
    if len(labels) > SHOWN:
        out.print(f"  … and {len(labels) - SHOWN:,} more; --json shows all")


def mask(
    sample: Annotated[str, typer.Argument(metavar="TEXT", help="Text as an event might contain it.")],
    as_json: AsJson = False,
) -> None:
    """Show how a text is masked.

    Shows what would be stored of it as a text (label, message), as a name (id, selector) and as a path.
    """
    from collector.privacy import mask_name, mask_path, mask_text

    shown = {"text": mask_text(sample), "name": mask_name(sample), "path": mask_path(sample)}
    if as_json:
        print_json(shown)
        return
    for kind, masked in shown.items():
        out.print(styled_text(f"{kind}  {masked}"), soft_wrap=True)


COMMANDS: Final[Commands] = {"send": send, "detect": detect, "evaluate": evaluate, "mask": mask}
"""The commands of this module, by name."""
