"""Text of browsers in tickets of a forge: no mention, reference, closing word or command."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trackers.incidents import incident
from trackers.document import Code, CodeBlock, Heading, Items, Link, Paragraph
from trackers.forge.text import (
    defuse_text,
    defuse_title,
    read_identity,
    render_for_forge,
    render_with_identity,
    ticket_identity,
)
from trackers.ticket import TITLE_LENGTH, build_ticket

COMMIT = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
HOSTILE = [
    "fixes #12", "closes acme/shop#12", "see !12", "GH-12", "gh-12", "OPS-12", "$12", '%"next"', "%next", "~bug", "&12",
    "^alert#12", "*iteration:12", "[vulnerability:12]", COMMIT, COMMIT[:7], f"acme/shop@{COMMIT}",
    "https://github.com/acme/shop/issues/12", "www.example.com", "@everyone", "@acme/team",
]  # fmt: skip
# As GitHub and GitLab look for them in the rendered text.
REFERENCE = re.compile(
    r"[#!$&]\d|[%~][\w\"]|\^alert#\d|\*iteration:\d|\[vulnerability:|(?i:\bgh)-\d|\b[A-Z]+-\d|\b[0-9a-f]{7,40}\b|@\w|://|www\.\w"
)


def rendered(markdown: str) -> str:
    """The text as it is seen, roughly: without escapes."""
    return re.sub(r"\\([^\w\s])", r"\1", markdown)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_sentence_or_title_refers(text: str) -> None:
    assert REFERENCE.search(text)
    document = (
        Heading(text),
        Paragraph((text[:2], text[2:])),
        Items(((text,),)),
        Paragraph((Link(text, "https://f.test"),)),
    )
    shown = rendered(render_for_forge(document)).replace("](<https://f.test>)", "")
    assert not REFERENCE.search(shown), shown
    assert not REFERENCE.search(defuse_title(build_ticket(incident(title=text), None).title))


def test_code_is_left_as_it_is() -> None:
    assert render_for_forge((Paragraph((Code("#12 @me"),)),)) == "`#12 @\u2060me`\n"
    assert "\n#12\n" in render_for_forge((CodeBlock("#12"),))


@pytest.mark.parametrize(
    "text", ["/close", "/close ```", "  /assign @me", "/label ~x\n/close", "x\n/close", "/close ~~~"]
)
def test_no_line_is_a_command(text: str) -> None:
    document = (Heading(text), Paragraph((text,)), CodeBlock(text), Items(((text,),), numbered=True))
    assert not re.search(r"^\s*/\w", render_for_forge(document), re.MULTILINE)
    assert not defuse_title(text).startswith("/")


@given(st.text(alphabet="ab0123456789#!/~ @-`\n$%&*[]GHf:.", max_size=60))
def test_no_text_whatever_refers_or_commands(text: str) -> None:
    shown = render_for_forge((Paragraph((text,)), CodeBlock(text)))
    assert not re.search(r"^\s*/\w", shown, re.MULTILINE)
    sentence = rendered(render_for_forge((Paragraph((text,)),)))
    assert not re.search(r"[#!$&]\d|\b[0-9a-f]{7,40}\b|\bGH-\d", sentence)


def test_an_identity_counts_in_the_first_line_alone() -> None:
    text = render_with_identity((CodeBlock("<!-- furrow-other -->"),), "furrow-mine")
    assert read_identity(text) == "furrow-mine"
    assert read_identity(text.partition("\n")[2]) == ""
    assert read_identity("x\n" + text) == ""
    assert read_identity(None) == ""
    assert read_identity("<!-- furrow-mine -->\r\nx") == "furrow-mine"


def test_identities_of_strange_ids_have_the_form_of_others() -> None:
    identity = ticket_identity(build_ticket(incident(incidentId="inc_--> @me\n/close"), None))
    assert re.fullmatch(r"furrow-[0-9a-f]{32}", identity)


def test_a_title_keeps_its_length() -> None:
    assert len(defuse_title("#1" * 200)) == TITLE_LENGTH
    assert defuse_text("an ordinary text, 30% of 5 & more") == "an ordinary text, 30% of 5 & more"
