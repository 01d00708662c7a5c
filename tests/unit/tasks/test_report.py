"""The artifact of a run and the state in which it ends."""

import re

import pytest
from markdown_it import MarkdownIt
from prefect import task

from core.errors import NotConfigured, PermanentError
from core.metrics import DEGRADED
from tasks.report import Report, code_span, escape_markdown, markdown_link


@task
def step(error: Exception | None = None) -> str:
    if error:
        raise error
    return "done"


class Fails(PermanentError):
    pass


HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil.test/x.png)",
    "a | b\n| c | d |",
    "`code` **bold** _em_ ~~s~~ # h",
    "line\u2028break\x1b[31m",
    "&lt;img src=x onerror=alert(1)&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_browser_sent_is_inert_in_an_artifact(text: str) -> None:
    report = Report("detect")
    report.counts["new events"] = 1
    report.add_lines("Incidents", [escape_markdown(text), code_span(text)])
    report.pending.append(text)
    kinds: set[str] = set()
    for token in MarkdownIt("commonmark").enable("table").parse(report.render_markdown("Completed")):
        kinds.update(child.type for child in token.children or [])
        kinds.add(token.type)
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "strong_open", "em_open"}


ADDRESSES = [
    "http://evil.test/x",
    "HTTPS://evil.test",
    "xhttp://evil.test",
    "ftp://evil.test/x",
    "www.evil.test",
    "(WWW.evil.test)",
    "a@evil.test",
    "mailto:a@evil.test",
    "http\u00ad://evil.test http://http://evil.test",
    "_http://evil.test_",
    "\\http://evil.test \\@ \\www.evil.test",
    "<http://evil.test>",
    "http://[::1]/ https://evil.test:80@other.test",
]
# GitHub's Markdown, "Autolinks (extension)", and the expressions of marked, which the pages of Prefect use.
AUTOLINK = re.compile(
    r"(?:(?:ftp|https?)://|www\.)[a-z0-9-]|(?:mailto|xmpp):|[a-z0-9.+_-]@[a-z0-9_-]+\.", re.IGNORECASE
)


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_that_a_browser_sent_is_no_link(text: str) -> None:
    assert AUTOLINK.search(text)
    report = Report("detect")
    report.add_lines("Incidents", [escape_markdown(text)])
    report.pending.append(text)
    report.counts[text] = 1
    markdown = report.render_markdown("Completed")
    # As marked reads it, and as the others do, which look for addresses when every escape is resolved.
    assert not AUTOLINK.search(markdown)
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        assert not AUTOLINK.search("".join(child.content for child in token.children or []))
    shown = "".join(t.content for t in MarkdownIt("commonmark").parseInline(escape_markdown(text))[0].children or [])
    assert shown.replace("\u2060", "") == "".join(c if c.isprintable() else " " for c in text)


def test_our_own_links_stay() -> None:
    assert markdown_link("OPS-1", "https://jira.test/browse/OPS-1") == "[OPS-1](<https://jira.test/browse/OPS-1>)"
    assert markdown_link("a@b.test", "javascript:alert(1)") == "a@\u2060b.test"
    assert markdown_link("x", "https://jira.test/> <b>") == "x"


def test_nothing_to_do_is_said() -> None:
    assert "There was nothing to do." in Report("detect").render_markdown("Completed")


def test_a_step_that_is_not_configured_counts_and_is_no_failure() -> None:
    report = Report("export")
    before = DEGRADED.labels("nowhere", "not_configured")._value.get()
    report.record_not_configured("nowhere", NotConfigured("no address"))
    assert DEGRADED.labels("nowhere", "not_configured")._value.get() == before + 1
    assert (report.logged_only, report.failed) == (True, False)


def test_a_failure_outweighs_what_is_not_configured() -> None:
    report = Report("export")
    report.record_not_configured("a", NotConfigured("no address"))
    report.record_failure("b", Fails("refused"))
    state = report._final_state()
    assert (state.name, state.is_failed()) == ("Degraded", True)
    assert "no address" in str(state.message)
    assert "refused" in str(state.message)
