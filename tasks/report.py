"""The result of a run for people: an artifact in the Prefect UI, and a final state whose name says how it ended."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

from prefect import Task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.states import Cancelled, Completed, Failed

from collector.lag import LIMIT_S, Lag
from core import last_errors
from core.error_messages import describe_error
from core.errors import NotConfigured, PermanentError
from core.metrics import count_degraded
from core.plurals import format_counted_name
from core.settings import Settings
from tasks import lag
from tasks.stopping import Stopped, raise_if_stopped

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger("furrow.flow")


def describe_failure(flow: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """Decorator: a run that an error ends has the error's description as its message, without the name of its class."""

    @wraps(flow)
    def run_flow(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return flow(*args, **kwargs)
        except PrefectException:
            raise  # Prefect itself ends the run with it
        except Exception as error:
            if not isinstance(error, PermanentError):
                count_degraded(flow.__name__, type(error).__name__)
                _log.exception("the flow %r failed", flow.__name__)
            return Failed(message=describe_error(error), data=error)

    return run_flow


@dataclass
class Report:
    """What one run did, and what it left pending.

    A run ends as Completed, LoggedOnly (COMPLETED: a service is not configured; its work was logged and is pending), Degraded
    (FAILED: a configured service fails; its work was logged and is pending) or Cancelled (the run was asked to stop).
    """

    flow: str
    counts: Counter[str] = field(default_factory=Counter)
    pending: list[str] = field(default_factory=list)
    tables: dict[str, Counter[str]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    failed: bool = False
    logged_only: bool = False
    stopped: bool = False
    lag: Lag | None = None

    def run_step(self, step: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Run one task. None if it still fails after its retries; the failure is recorded and not raised."""
        try:
            raise_if_stopped()
            return step(*args, **kwargs)
        except Stopped as stopped:
            self.stopped = True
            self.pending.append(str(stopped))
        except NotConfigured as reason:
            self.record_not_configured(step.name, reason)
        except Exception as error:
            _log.exception("the step %r failed", step.name)
            self.record_failure(step.name, error)
        return None

    def record_not_configured(self, step: str, reason: NotConfigured) -> None:
        """Record that a service that ``step`` needs is not configured."""
        count_degraded(step, "not_configured")
        self.logged_only = True
        self.pending.append(f"{step}: {reason}")

    def record_failure(self, step: str, error: Exception) -> None:
        """Record that ``step`` failed after its retries; its work stays pending."""
        count_degraded(step, type(error).__name__)
        last_errors.record_last_error(Settings().data_dir, last_errors.find_failed_part(error, step), error)
        self.failed = True
        self.pending.append(f"{step}: {describe_error(error)}")

    def add_counts(self, title: str, counts: Counter[str]) -> None:
        """Add to a table of counts in the artifact."""
        if counts:
            self.tables.setdefault(title, Counter()).update(counts)

    def add_lines(self, title: str, lines: Sequence[str]) -> None:
        """Add Markdown lines (already escaped) to a list in the artifact."""
        if lines:
            self.lists.setdefault(title, []).extend(lines)

    def add_texts(self, title: str, texts: Sequence[str]) -> None:
        """Add whole texts to the artifact, which shows the first ones as they are; their lines begin with a bar."""
        if texts:
            self.texts.setdefault(title, []).extend(texts)

    def finish_run(self) -> State[Any]:
        """Write the artifact, warn if the lag is over its limit, and return the final state."""
        state = self._final_state()
        self.lag = lag.measure_current_lag()
        try:
            if self.lag is not None and self.lag.longest_wait_seconds > LIMIT_S:
                lag.warn_of_lag(self.lag)
            create_markdown_artifact(
                key=self.flow, markdown=self.render_markdown(state.name or ""), description=state.message
            )
        except Exception:
            # The work is done; a missing artifact must not make the run fail.
            count_degraded(self.flow, "artifact")
            _log.exception("the artifact of this run could not be written")
        return state

    def render_markdown(self, ending: str) -> str:
        """The artifact: counts, lists, pending work with its reasons, and the lag."""
        happened = {name: count for name, count in self.counts.items() if count}
        parts = [
            f"# {self.flow}: {ending}",
            _markdown_table("what", "number", happened) if happened else "There was nothing to do.",
        ]
        parts += [
            f"## {title}\n\n{_markdown_table('rule', 'sessions', dict(counts.most_common()))}"
            for title, counts in self.tables.items()
        ]
        parts += [f"## {title}\n\n{_markdown_list(lines)}" for title, lines in self.lists.items()]
        parts += [f"## {title}\n\n{_markdown_texts(texts)}" for title, texts in self.texts.items()]
        waits = "\n".join(f"* {escape_markdown(reason)}" for reason in self.pending) or "Nothing."
        parts.append(f"## Pending, and why\n\n{waits}")
        if self.lag is not None:
            parts.append(f"## Lag\n\n{_markdown_list(self.lag.describe_lag())}")
        return "\n\n".join(parts)

    def _final_state(self) -> State[Any]:
        message = "; ".join(self.pending)
        if self.stopped:
            return Cancelled(message=message)
        if self.failed:
            return Failed(name="Degraded", message=message)
        if self.logged_only:
            return Completed(name="LoggedOnly", message=message)
        happened = [format_counted_name(count, name) for name, count in self.counts.items() if count]
        return Completed(message=", ".join(happened) or "There was nothing to do.")


def escape_markdown(text: str) -> str:
    """``text`` as inert Markdown on one line, so that text from a browser cannot become a link, an image or HTML.

    Viewers turn addresses (``http://…``, ``www.…``, e-mail) into links even where they are escaped. An invisible character in
    each address prevents that.
    """
    shown = "".join(_MARKDOWN.get(c, c) if c.isprintable() else " " for c in text)
    return _ADDRESS.sub(lambda found: found[0] + _WORD_JOINER, shown)


def markdown_link(text: str, url: str) -> str:
    """``text`` as a link to ``url``; only the text if ``url`` is not an http(s) URL."""
    return f"[{escape_markdown(text)}](<{url}>)" if _is_web_address(url) else escape_markdown(text)


def code_span(text: str) -> str:
    """``text`` as a Markdown code span on one line."""
    return "`" + "".join(c for c in text if c.isprintable() and c != "`") + "`"


def incident_link(incident_id: str, pages_url: str) -> str:
    """The id of an incident as a link to its page; ``pages_url`` is the URL of Furrow's pages."""
    # Not a code span: Prefect's pages show its backticks inside a link.
    return markdown_link(incident_id, f"{pages_url.rstrip('/')}/incidents/{quote(incident_id, safe='')}")


def _markdown_texts(texts: Sequence[str]) -> str:
    more = [f"… and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    # No line of a text can end its fence: each begins with a bar.
    return "\n\n".join([*(f"```\n{text}\n```" for text in texts[:_SHOWN]), *more])


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(c in "<>" or c <= " " for c in url)


def _markdown_table(name: str, number: str, counts: Mapping[str, int]) -> str:
    rows = "\n".join(f"| {escape_markdown(key)} | {count:,} |" for key, count in counts.items())
    return f"| {name} | {number} |\n|---|---:|\n{rows}"


def _markdown_list(lines: Sequence[str]) -> str:
    more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(f"* {line}" for line in [*lines[:_SHOWN], *more])


_SHOWN = 20
_WORD_JOINER = "\u2060"
# The start of an address in GitHub's Markdown ("extended autolinks") and in other viewers.
_ADDRESS = re.compile(r"(?:https?|ftps?|mailto|xmpp)(?=:)|www(?=\.)|@", re.IGNORECASE)
_MARKDOWN = {c: "\\" + c for c in "\\`*_{}[]()#!|~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
