"""Whatever text stands in a document stays text, in each markup; the document itself comes out as it went in."""

import html
import re
import unicodedata
from itertools import groupby
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from trackers.document import (
    MAX_TEXT,
    Block,
    Code,
    CodeBlock,
    Document,
    Heading,
    Items,
    Line,
    Link,
    Paragraph,
    render_adf,
    render_markdown,
    render_wiki,
    to_plain_line,
)

FURROW = Link("Incident in Furrow", "https://furrow.example/incidents/inc_1")

# What somebody who wants to break out would send, in any order and mixture.
_PIECES = [
    "@everyone", "@all", "[~admin]", "[x](http://evil.example)", "<http://evil.example>", "![i](http://evil.example/i.png)",
    "<img src=x onerror=alert(1)>", "<script>", "<!--", "&lt;b&gt;", "&#64;", "http://evil.example", "www.evil.example",
    "//evil.example/x", "mailto:a@b.example", "javascript:alert(1)", "!http://evil.example/i.png!", "[evil|http://evil.example]",
    "{html}", "{code}", "{noformat}", "{color:red}", "{{x}}", "h1. ", "bq. ", "# ", "## ", "* ", "- ", "1. ", "1) ", "> ", "+ ",
    "----", "===", "***", "___", "```", "~~~", "`", "``", "\\", "\\\\", "|", "||", "*a*", "_a_", "**a**", "~~a~~", "+a+", "-a-",
    "^a^", "??a??", "(!)", "(/)", ":)", ";)", ":smile:", "OPS-12", "[1]: http://evil.example", "[", "]", "(", ")", "{", "}",
    "a", "order_id", " ", "\n", "\n\n", "\r\n", "\t", "\x00", "\x1b[31m", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "é",
    "你好", "👩\u200d💻", "\ud800", "1.9 s", "10:00",
]  # fmt: skip
hostile = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=6).map("".join),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=20),
)
inlines = st.one_of(hostile, hostile.map(Code), st.just(FURROW))
lines = st.lists(inlines, min_size=1, max_size=4).map(tuple)
documents = st.lists(
    st.one_of(
        hostile.map(Heading),
        lines.map(Paragraph),
        st.builds(Items, st.lists(lines, min_size=1, max_size=3).map(tuple), st.booleans()),
        hostile.map(CodeBlock),
    ),
    min_size=1,
    max_size=5,
).map(tuple)


def words(text: str) -> str:
    """Text without the spaces around and between words: where lines meet, a space more or less means nothing."""
    return "".join(text.split())


def text_of(line: Line) -> str:
    shown = ""
    for is_text, parts in groupby(line, key=lambda part: isinstance(part, str)):
        texts = [part if isinstance(part, str) else part.text for part in parts]
        # What somebody wrote in two pieces reads as one.
        shown += to_plain_line("".join(texts), MAX_TEXT) if is_text else "".join(to_plain_line(text) for text in texts)
    return words(shown) or "–"


# Plain text ---------------------------------------------------------------------------------------------------------


@given(hostile, st.integers(1, 40))
def test_plain_text_is_one_visible_line_of_limited_length(text: str, limit: int) -> None:
    shown = to_plain_line(text, limit)
    assert len(shown) <= limit + shown.count("@\u2060")
    categories = {unicodedata.category(character) for character in shown.replace("@\u2060", "@")} - {"Cf"}
    assert not categories & {"Cc", "Cs", "Zl", "Zp", "Co", "Cn"}
    assert not re.search("[\u200b\u202a-\u202e\u2066-\u2069\ufeff]", shown)
    assert to_plain_line(shown, MAX_TEXT) == shown


def test_plain_text_keeps_what_people_write() -> None:
    for text in ('clicked button#pay "Pay now"', "POST /api/orders → 500", "نمی\u200cخواهم", "👩\u200d💻 naïve 你好"):
        assert to_plain_line(text) == text
    assert to_plain_line("@everyone, me@home and @ 10") == "@\u2060everyone, me@\u2060home and @ 10"
    assert to_plain_line(None) == ""


# Markdown -----------------------------------------------------------------------------------------------------------

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def parsed(markdown: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Blocks of a Markdown text: kind and inlines (kind, text)."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    lists: list[str] = []
    kind = ""
    for token in _PARSER.parse(markdown):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            lists.append(token.type.removesuffix("_open"))
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "fence":
            found.append(("fence", [("text", token.content.removesuffix("\n"))]))
        elif token.type == "inline":
            found.append((lists[-1] if lists else kind, inlines_of(token)))
        elif token.type in ("heading_open", "paragraph_open"):
            kind = f"{token.type.removesuffix('_open')}{token.tag}"
        else:
            assert token.type in ("heading_close", "paragraph_close", "list_item_open", "list_item_close"), token.type
    return found


def inlines_of(token: Token) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    inside = "text"
    for child in token.children or []:
        if child.type == "link_open":
            inside = f"link {child.attrs['href']}"
        elif child.type == "link_close":
            inside = "text"
        elif child.type == "code_inline":
            found.append(("code", child.content))
        else:
            assert child.type == "text", child.type
            found.append((inside, child.content))
    return found


def expected(document: Document) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for block in document:
        match block:
            case Heading(text):
                found.append(("headingh2", text_of((text,)) if to_plain_line(text) else ""))
            case Paragraph(line):
                found.append(("paragraphp", text_of(line)))
            case Items(items, numbered):
                found += [("ordered_list" if numbered else "bullet_list", text_of(line)) for line in items]
            case CodeBlock(text):
                found.append(("fence", words(to_plain_line(text, MAX_TEXT))))
    return found


@given(documents)
@example((Heading("closed by #"), Paragraph(("1", ". no list"))))
@example((Paragraph(("ends with !", FURROW)),))
def test_markdown_comes_out_as_it_went_in(document: Document) -> None:
    found = parsed(render_markdown(document))
    assert [(kind, words("".join(text for _, text in parts))) for kind, parts in found] == expected(document)


@given(documents)
def test_markdown_has_no_link_but_ours_and_no_literal_but_ours(document: Document) -> None:
    found = [part for _, parts in parsed(render_markdown(document)) for part in parts]
    assert {kind for kind, _ in found if kind.startswith("link")} <= {f"link {FURROW.url}"}
    ours = [part.text for block in document for line in _lines(block) for part in line if isinstance(part, Code)]
    shown = [text for kind, text in found if kind == "code"]
    assert [words(text) for text in shown] == [words(to_plain_line(text)) for text in ours if to_plain_line(text)]


@given(hostile)
def test_markdown_text_holds_no_address_that_a_reader_could_make_a_link_of(text: str) -> None:
    shown = render_markdown((Paragraph((text,)),))
    assert not re.search(r"\w://|(?<![\\/:])//\w|www\.\w|\w@\w|(?<![\w\\])@\w|mailto:", shown)


def _lines(block: Block) -> tuple[Line, ...]:
    match block:
        case Paragraph(line):
            return (line,)
        case Items(items):
            return items
    return ()


# Wiki ---------------------------------------------------------------------------------------------------------------

_ENTITY = re.compile(r"&#\d+;")
# Whatever means something to Jira's renderer, anywhere or at the beginning of a line.
_ACTIVE = re.compile(
    r"[\\{}\[\]()!|*+^~<>@#&]|(?:^|\s)[-_]|[-_](?:\s|$)|--|\?\?|://|mailto:\S|:[)DPp(]|;[)]|^(?:h[1-6]|bq)\.|\b[A-Z]{2,}-\d"
)


@given(hostile)
def test_wiki_text_holds_no_active_markup(text: str) -> None:
    shown = render_wiki((Paragraph((text,)),)).removesuffix("\n")
    assert "\n" not in shown
    assert not _ACTIVE.search(_ENTITY.sub("x", shown))
    assert html.unescape(shown) == (to_plain_line(text, MAX_TEXT) or "–")


@given(st.lists(hostile, min_size=2, max_size=3).map(tuple))
@example(("http:", "//evil.example"))
def test_texts_that_meet_are_no_markup_either(line: Line) -> None:
    together = "".join(part for part in line if isinstance(part, str))
    assert render_wiki((Paragraph(line),)) == render_wiki((Paragraph((together,)),))
    assert render_markdown((Paragraph(line),)) == render_markdown((Paragraph((together,)),))


@given(hostile)
def test_wiki_literals_cannot_be_left(text: str) -> None:
    shown = render_wiki((Paragraph((Code(text),)),)).removesuffix("\n")
    inner = shown.removeprefix("{{").removesuffix("}}")
    assert not _ACTIVE.search(_ENTITY.sub("x", inner))
    assert html.unescape(inner) == (to_plain_line(text) or "–")


@given(hostile)
def test_a_wiki_block_ends_where_it_should(text: str) -> None:
    shown = render_wiki((CodeBlock(text), Paragraph(("after",))))
    assert [part.strip() for part in shown.split("{noformat}")] == [
        "",
        to_plain_line(text, MAX_TEXT).replace("{noformat", "{\u2060noformat"),
        "after",
    ]


@given(documents)
def test_wiki_has_no_link_but_ours(document: Document) -> None:
    outside = re.sub(r"\{noformat\}\n.*?\n\{noformat\}", "", render_wiki(document))
    assert set(re.findall(r"\[[^\]]*\]?", outside)) <= {f"[{FURROW.text}|{FURROW.url}]"}
    assert "{html}" not in outside
    assert "!" not in outside


# ADF ----------------------------------------------------------------------------------------------------------------

_CONTENT = {
    "doc": {"heading", "paragraph", "bulletList", "orderedList", "codeBlock"},
    "bulletList": {"listItem"},
    "orderedList": {"listItem"},
    "listItem": {"paragraph"},
    "paragraph": {"text"},
    "heading": {"text"},
    "codeBlock": {"text"},
}


def check(node: dict[str, Any], path: str = "") -> None:
    """The rules of ADF for the nodes that are used here: what may hold what, no empty text, marks where they may be."""
    kind = node["type"]
    where = f"{path}/{kind}"
    if kind == "text":
        assert set(node) <= {"type", "text", "marks"}, where
        assert node["text"], where
        for mark in node.get("marks", []):
            assert "codeBlock" not in path, where
            assert mark == {"type": "code"} or mark == {"type": "link", "attrs": {"href": FURROW.url}}, where
        return
    assert node["content"], where
    for child in node["content"]:
        assert child["type"] in _CONTENT[kind], where
        check(child, where)


@given(documents)
@example((Paragraph((" ",)),))
def test_adf_is_well_formed_and_says_the_same(document: Document) -> None:
    found = render_adf(document)
    assert (found["type"], found["version"]) == ("doc", 1)
    check(found)
    kinds = {Heading: "heading", Paragraph: "paragraph", CodeBlock: "codeBlock"}
    assert [node["type"] for node in found["content"]] == [
        ("orderedList" if block.numbered else "bulletList") if isinstance(block, Items) else kinds[type(block)]
        for block in document
    ]
    paragraphs = [node for node in found["content"] if node["type"] == "paragraph"]
    assert [words("".join(part["text"] for part in node["content"])) for node in paragraphs] == [
        text_of(block.line) for block in document if isinstance(block, Paragraph)
    ]


# Limits and links ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("render", [render_markdown, render_wiki])
def test_what_grows_by_escaping_is_cut_at_the_ends_of_lists(render: Any) -> None:
    rows = tuple((("*" * 250),) for _ in range(100))
    shown = render((Heading("Top"), Items(rows), Items(rows, numbered=True), Paragraph(("The end", FURROW))))
    assert len(shown) <= MAX_TEXT
    assert FURROW.url in shown
    assert shown.count("\n* ") + shown.count("\n- ") >= 5


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://", "ftp://x.example", "https://x.example/a b", "https://x.example/|x", "/x"]
)
def test_a_link_leads_to_the_web_or_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a web address"):
        Link("x", url)
