"""A small document model and its renderings: Markdown (Linear, log), wiki markup (Jira Data Center), ADF (Jira Cloud).

A document holds plain text only; the renderers add all markup and escape the text. Text that a browser sent therefore cannot
produce a mention, link, image, macro or heading.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypedDict
from urllib.parse import urlsplit


class AdfMark(TypedDict, total=False):
    """A mark of a text node, like ``code``."""

    type: str
    attrs: dict[str, str]


class AdfNode(TypedDict, total=False):
    """A node of the Atlassian Document Format, as JSON."""

    type: str
    version: int
    attrs: dict[str, int]
    content: "list[AdfNode]"
    text: str
    marks: list[AdfMark]


# Jira refuses longer text fields (characters).
MAX_TEXT = 32_767


@dataclass(frozen=True)
class Code:
    """A literal inside a sentence: a selector, a path, an id."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link; ``url`` is Furrow's own (http or https), never a value from a browser."""

    text: str
    url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"[\s<>()\[\]|\\\"]", self.url):
            raise ValueError(f"not a web address: {self.url!r}")


Inline = str | Code | Link
Line = tuple[Inline, ...]


@dataclass(frozen=True)
class Heading:
    """A section's name."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """One paragraph."""

    line: Line


@dataclass(frozen=True)
class Items:
    """A list; ``numbered`` for steps."""

    lines: tuple[Line, ...]
    numbered: bool = False


@dataclass(frozen=True)
class CodeBlock:
    """Literal text of one line, set apart."""

    text: str


Block = Heading | Paragraph | Items | CodeBlock
Document = tuple[Block, ...]


# ---------------------------------------------------------------------------------------------------------------------
# Text that may stand in a document

# Invisible characters with a use in real text: they join or separate letters in Persian, Indic scripts and emoji.
_KEPT = "\u200c\u200d"
_WORD_JOINER = "\u2060"


def to_plain_line(value: object, limit: int = 300) -> str:
    """``value`` as one line of at most ``limit`` visible characters.

    Control characters and line breaks become spaces. Invisible characters and those that change the direction of text are
    removed. An ``@`` before a name gets an invisible character after it, because some trackers, and the chats that they post
    to, look for mentions in plain text.
    """
    shown = "".join(_visible_characters("" if value is None else str(value)))
    line = " ".join(shown.split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    return re.sub(r"@(?=[\w\[{<])", f"@{_WORD_JOINER}", line)


def _visible_characters(text: str) -> Iterator[str]:
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            yield " "
        elif category in ("Cs", "Co", "Cn"):
            yield "\ufffd"
        elif category != "Cf" or character in _KEPT:
            yield character


# ---------------------------------------------------------------------------------------------------------------------
# Markdown: CommonMark with GitHub's extensions, which Linear's Markdown is close to

# Escaped everywhere. Then what has a meaning in some places only: "_" beside a space, "." and "//" in addresses, ":" of a
# scheme or an emoji, "!" before a link; and the starts of lists, headings and underlines.
_MARKDOWN_ALWAYS = re.compile(r"[\\`*\[\]<>&|~]")
_MARKDOWN_PLACES = re.compile(
    r"(?<![^\W_])_|_(?![^\W_])|(?<=[^\W\d])\.(?=\w)|\.(?=[^\W\d])|(?<=[^\W\d]):(?=\w)|:(?=/|\w+:)|/(?=/)|!(?=\\\[|$)|#$"
)
_MARKDOWN_START = re.compile(r"^([-+=#](?![^\W_])|\d{1,9}(?=[.)]))")


def render_markdown(document: Document) -> str:
    """The document as Markdown, ending with a newline."""
    return _render_within_limit(document, lambda blocks: "\n\n".join(map(_markdown_block, blocks)) + "\n")


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {_markdown_text(to_plain_line(text))}"
        case Paragraph(line):
            return _markdown_line(line)
        case Items(lines, numbered):
            marks = (f"{place}. " if numbered else "- " for place in range(1, len(lines) + 1))
            return "\n".join(mark + _markdown_line(line) for mark, line in zip(marks, lines, strict=True))
        case CodeBlock(text):
            content = to_plain_line(text, MAX_TEXT)
            fence = _backtick_fence(content, 3)
            return f"{fence}\n{content}\n{fence}"


def _markdown_line(line: Line) -> str:
    joined = ""
    for inline in _merge_texts(line):
        piece = _markdown_inline(inline)
        # Adjacent runs of backticks would merge into one, and neither code span would end.
        joined += " " + piece if joined.endswith("`") and piece.startswith("`") else piece
    return joined.strip() or "–"


def _markdown_inline(inline: Inline) -> str:
    match inline:
        case Code(text):
            return _markdown_code(to_plain_line(text))
        case Link(text, url):
            return f"[{_markdown_text(to_plain_line(text))}](<{url}>)"
        case str():
            return _escape_with_spaces(inline, _markdown_text)


def _markdown_text(text: str) -> str:
    escaped = _MARKDOWN_ALWAYS.sub(r"\\\g<0>", text)
    escaped = _MARKDOWN_PLACES.sub(r"\\\g<0>", escaped)
    start = _MARKDOWN_START.match(escaped)
    if not start:
        return escaped
    # A number keeps its digits; only the mark after it is escaped.
    return f"{start[0]}\\{escaped[start.end() :]}" if start[0].isdigit() else f"\\{escaped}"


def _markdown_code(text: str) -> str:
    if not text:
        return ""
    fence = _backtick_fence(text, 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _backtick_fence(text: str, least: int) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)


# ---------------------------------------------------------------------------------------------------------------------
# Wiki markup (Jira Data Center). Its renderer keeps character references (HtmlEscaper, preserveEntities), also inside {{...}};
# a backslash escapes only a few characters.

_WIKI_ALWAYS = re.compile(r"[\\{}\[\]()!|*+^~<>&#;]")
_WIKI_PLACES = re.compile(
    r"(?<![^\W_])_|_(?![^\W_])"  # emphasis
    r"|(?<![^\W_])-|-(?![^\W_])"  # struck out, dashes, rules
    r"|(?<!\d):(?=\S)|:(?=[^\s\d])"  # schemes of addresses, emoticons
    r"|\?(?=\?)|(?<=\?)\?"  # citation
    r"|/(?=/)|@"
    r"|(?:(?<=^h[1-6])|(?<=^bq))\."  # headings, quotations
)
# The dash in text like the key of an issue, which would become a link.
_WIKI_KEY = re.compile(r"(?:^|(?<=\W))[A-Za-z]\w*-(?=\d)")


def render_wiki(document: Document) -> str:
    """The document as Jira's wiki markup, ending with a newline."""
    return _render_within_limit(document, lambda blocks: "\n\n".join(map(_wiki_block, blocks)) + "\n")


def _wiki_block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"h3. {_wiki_text(to_plain_line(text))}"
        case Paragraph(line):
            return _wiki_line(line)
        case Items(lines, numbered):
            return "\n".join(("# " if numbered else "* ") + _wiki_line(line) for line in lines)
        case CodeBlock(text):
            literal = re.sub(r"\{(?=noformat)", "{" + _WORD_JOINER, to_plain_line(text, MAX_TEXT), flags=re.IGNORECASE)
            return f"{{noformat}}\n{literal}\n{{noformat}}"


def _wiki_line(line: Line) -> str:
    return "".join(map(_wiki_inline, _merge_texts(line))).strip() or "–"


def _wiki_inline(inline: Inline) -> str:
    match inline:
        case Code(text):
            shown = _wiki_text(to_plain_line(text))
            return f"{{{{{shown}}}}}" if shown else ""
        case Link(text, url):
            return f"[{_wiki_text(to_plain_line(text))}|{url}]"
        case str():
            return _escape_with_spaces(inline, _wiki_text)


def _wiki_text(text: str) -> str:
    special = {match.start() for pattern in (_WIKI_ALWAYS, _WIKI_PLACES) for match in pattern.finditer(text)}
    special |= {match.end() - 1 for match in _WIKI_KEY.finditer(text)}
    return "".join(f"&#{ord(character)};" if place in special else character for place, character in enumerate(text))


# ---------------------------------------------------------------------------------------------------------------------
# Atlassian Document Format (Jira Cloud): text nodes need no escaping


def render_adf(document: Document) -> AdfNode:
    """The document as ADF, version 1."""
    return {"type": "doc", "version": 1, "content": [_adf_block(block) for block in document]}


def _adf_block(block: Block) -> AdfNode:
    match block:
        case Heading(text):
            return {"type": "heading", "attrs": {"level": 3}, "content": _adf_line((text,))}
        case Paragraph(line):
            return {"type": "paragraph", "content": _adf_line(line)}
        case Items(lines, numbered):
            items: list[AdfNode] = [
                {"type": "listItem", "content": [{"type": "paragraph", "content": _adf_line(line)}]} for line in lines
            ]
            return {"type": "orderedList" if numbered else "bulletList", "content": items}
        case CodeBlock(text):
            return {"type": "codeBlock", "content": [{"type": "text", "text": to_plain_line(text, MAX_TEXT) or "–"}]}


def _adf_line(line: Line) -> list[AdfNode]:
    # ADF does not allow empty texts and, in most places, empty paragraphs.
    nodes = [node for inline in _merge_texts(line) if (node := _adf_inline(inline))["text"]]
    return nodes if any(node["text"].strip() for node in nodes) else [{"type": "text", "text": "–"}]


def _adf_inline(inline: Inline) -> AdfNode:
    match inline:
        case Code(text):
            return {"type": "text", "text": to_plain_line(text), "marks": [{"type": "code"}]}
        case Link(text, url):
            mark: AdfMark = {"type": "link", "attrs": {"href": url}}
            return {"type": "text", "text": to_plain_line(text) or url, "marks": [mark]}
        case str():
            return {"type": "text", "text": _escape_with_spaces(inline, str)}


# ---------------------------------------------------------------------------------------------------------------------


def _merge_texts(line: Line) -> Iterator[Inline]:
    """The line with adjacent texts joined, so that no markup arises where two of them meet."""
    for is_text, parts in groupby(line, key=lambda inline: isinstance(inline, str)):
        if is_text:
            yield "".join(part for part in parts if isinstance(part, str))
        else:
            yield from parts


def _escape_with_spaces(text: str, escape: Callable[[str], str]) -> str:
    """The text, escaped, with a space at each end where it had one."""
    inner = escape(to_plain_line(text, MAX_TEXT))
    if not inner:
        return " " if text.isspace() else ""
    return (" " if text[0].isspace() else "") + inner + (" " if text[-1].isspace() else "")


def _render_within_limit(document: Document, render: Callable[[Sequence[Block]], str]) -> str:
    """Render the document. If escaping makes it too long for Jira, cut the longest lists until it fits."""
    blocks = list(document)
    while len(text := render(blocks)) > MAX_TEXT:
        lists = [place for place, block in enumerate(blocks) if isinstance(block, Items) and len(block.lines) > 1]
        if not lists:
            return text[:MAX_TEXT]
        longest = max(lists, key=lambda place: len(render([blocks[place]])))
        block = blocks[longest]
        assert isinstance(block, Items)
        blocks[longest] = replace(block, lines=block.lines[: len(block.lines) * 3 // 4])
    return text


def make_list(lines: Iterable[Line], numbered: bool = False) -> list[Block]:
    """A list of the lines; no block when there are none."""
    found = tuple(lines)
    return [Items(found, numbered)] if found else []
