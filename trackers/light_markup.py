"""Reads the text of a template into a document: a small part of Markdown, in which values are opaque.

A value stands in the text as a mark, and its own characters are never read as markup: they go into the document as plain text,
which the renderers of `trackers.document` escape. Markup is what the author of the template wrote, and nothing else.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

from trackers.document import (
    Block,
    Code,
    CodeBlock,
    Document,
    Heading,
    Inline,
    Items,
    Line,
    Link,
    Paragraph,
    to_plain_line,
)

OPEN: Final = "\ue000"
CLOSE: Final = "\ue001"
"""What a mark is made of, in a range of Unicode that is for private use; a template must not hold them."""
Value = str | Document
"""A value of a template: text, or blocks where the mark stands alone on its line."""
_MARK: Final = re.compile(f"{OPEN}(\\d+){CLOSE}")
_HEADING: Final = re.compile(r"#{1,6}\s+(.+)")
_BULLET: Final = re.compile(r"[-*]\s+(.+)")
_NUMBER: Final = re.compile(r"\d{1,9}[.)]\s+(.+)")
_INLINE: Final = re.compile(r"`([^`]+)`|\[([^\[\]]+)\]\(([^()\s]+)\)")
_ADDRESS: Final = re.compile(r"https?://[^/\s<>()\[\]|\\\"]+(?:/[^\s<>()\[\]|\\\"]*)?")
_TEXT: Final = 600
_FENCE: Final = "```"


def write_mark(number: int) -> str:
    """The mark of the value with this number."""
    return f"{OPEN}{number}{CLOSE}"


def read_plain(text: str, values: Sequence[Value]) -> str:
    """The text with its values, without any markup. Blocks are left out."""
    return _MARK.sub(lambda mark: value if isinstance(value := values[int(mark[1])], str) else "", text)


def read_document(text: str, values: Sequence[Value], own_addresses: frozenset[str] = frozenset()) -> Document:
    """The document of a text. Raises ValueError for a link whose address is a value, unless it is in ``own_addresses``."""
    reader = _Reader(values, own_addresses)
    return tuple(reader.read_blocks(text.splitlines()))


class _Reader:
    def __init__(self, values: Sequence[Value], own_addresses: frozenset[str]) -> None:
        self._values, self._own = values, own_addresses

    def read_blocks(self, lines: Sequence[str]) -> Iterator[Block]:
        place = 0
        while place < len(lines):
            line = lines[place].strip()
            place += 1
            if line.startswith(_FENCE):
                end = next((at for at in range(place, len(lines)) if lines[at].strip() == _FENCE), len(lines))
                yield CodeBlock(read_plain(" ".join(lines[place:end]), self._values))
                place = end + 1
            elif heading := _HEADING.fullmatch(line):
                yield Heading(read_plain(heading[1], self._values))
            elif (mark := _MARK.fullmatch(line)) and not isinstance(blocks := self._values[int(mark[1])], str):
                yield from blocks
            elif found := _item(line):
                place, items = _join_lines(lines, place, found)
                yield Items(tuple(self.read_line(item) for item in items), numbered=bool(_NUMBER.fullmatch(line)))
            elif line:
                while place < len(lines) and _continues(lines[place]):
                    line += " " + lines[place].strip()
                    place += 1
                if any(shown := self.read_line(line)):
                    yield Paragraph(shown)

    def read_line(self, text: str) -> Line:
        return tuple(self._read_inlines(text))

    def _read_inlines(self, text: str) -> Iterator[Inline]:
        end = 0
        for found in _INLINE.finditer(text):
            yield read_plain(text[end : found.start()], self._values)
            end = found.end()
            if found[1]:
                yield Code(to_plain_line(read_plain(found[1], self._values), _TEXT))
            else:
                yield Link(read_plain(found[2], self._values), self._read_address(found[3]))
        yield read_plain(text[end:], self._values)

    def _read_address(self, text: str) -> str:
        """The address of a link: the author's own, with values quoted in its path; or one of ours as a whole."""
        if (mark := _MARK.fullmatch(text)) and self._values[int(mark[1])] in self._own:
            return str(self._values[int(mark[1])])
        address = _MARK.sub(lambda mark: quote(read_plain(mark[0], self._values), safe=""), text)
        host = text.partition("://")[2].partition("/")[0]
        if not _ADDRESS.fullmatch(address) or _MARK.search(host):
            raise ValueError(f"not an address that a template may link to: {to_plain_line(address, 100)!r}")
        return address


def _item(line: str) -> str | None:
    found = _BULLET.fullmatch(line) or _NUMBER.fullmatch(line)
    return found[1] if found else None


def _join_lines(lines: Sequence[str], place: int, first: str) -> tuple[int, list[str]]:
    """The items of a list from its first one on, and where it ends. Tags of a loop leave empty lines between them."""
    items, end = [first], place
    while place < len(lines):
        found = _item(text := lines[place].strip())
        place += 1
        if found:
            items.append(found)
            end = place
        elif text:
            break
    return end, items


def _continues(line: str) -> bool:
    """Whether a line belongs to the paragraph above it."""
    text = line.strip()
    return bool(text) and not (
        text.startswith(_FENCE) or _HEADING.fullmatch(text) or _item(text) or _MARK.fullmatch(text)
    )
