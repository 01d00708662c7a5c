"""Routes as grouping compares them: without ids, names of things, locales, index pages and case; templates win."""

import re
from typing import Final
from urllib.parse import unquote

from ufse.grouping.learned import NO_RULES, RouteRules
from ufse.grouping.texts import EMAIL, is_opaque
from ufse.grouping.vocabulary import load_vocabulary
from ufse.memo import memoize_texts
from ufse.patterns import ID, clean_text, fold_key

_VOCABULARY = load_vocabulary()
_LONGEST: Final = 2_048
_TEMPLATE: Final = re.compile(
    r":(?P<colon>[A-Za-z_]\w*)(?:\([^/]*\))?[?*+]?|\{(?P<brace>[^{}]*)\}|\[\[?\.{0,3}(?P<square>[\w-]+)\]?\]|\$(?P<dollar>\w*)"
    r"|<(?:\w+:)?(?P<angle>\w+)>|\*{1,2}|\(\.\*\)"
)
"""Parameters as Express, Vue, Angular and Rails (``:id``), OpenAPI, Spring, ASP.NET (``{id}``), Next, SvelteKit (``[id]``),
TanStack and Remix (``$id``), Flask and Django (``<int:id>``) write them."""
_GROUP: Final = re.compile(r"\([\w.-]+\)")
"""A route group of Next, which is in no address."""
_INDEX: Final = re.compile(r"(?:index|default)(?:\.[a-z]{2,5})?", re.I)
_PAGE: Final = re.compile(r"(.+)\.(?:html?|xhtml|php\d?|aspx?|jspx?|jsf|cfm|do|action)", re.I)
_MATRIX: Final = re.compile(r";[^/]*")
_ISSUE: Final = re.compile(r"[A-Z][A-Z0-9]{1,9}-\d+")
_LOCALE: Final = re.compile(
    r"(?P<language>[a-z]{2,3})(?:[-_](?P<script>[A-Z][a-z]{3}))?(?:[-_](?P<region>[A-Za-z]{2}|\d{3}))?"
)
_HANDLE: Final = re.compile(r"[@~][\w.-]+")


def fold_route(pattern: str, rules: RouteRules = NO_RULES) -> str:
    """The route as grouping compares it, with what the project's own routes show. Folding it again changes nothing."""
    if not pattern:
        return ""
    segments = split_route(pattern)
    return "/" + "/".join(rules.replace_segments(segments))


@memoize_texts
def _split_route(pattern: str) -> str:
    raw = [segment for segment in _MATRIX.sub("", _decode_percents(pattern[:_LONGEST])).split("/") if segment]
    while raw and (_INDEX.fullmatch(raw[-1]) or _PAGE.fullmatch(raw[-1])):
        page = raw.pop()
        if not _INDEX.fullmatch(page):
            raw.append(page.rpartition(".")[0])
    if any(_TEMPLATE.fullmatch(s) and s != ID for s in raw):
        return "/".join(_fold_template(raw))
    return "/".join(_fold_segments(raw))


def _decode_percents(path: str) -> str:
    """``path`` without percent-encoding, also where it is encoded several times."""
    for _ in range(3):
        decoded = unquote(path)
        if decoded == path:
            return clean_text(path)
        path = decoded
    return clean_text(path.replace("%", ""))


def split_route(pattern: str) -> list[str]:
    """The segments without ids and with one case, before locales and learned rules. Folded once for each distinct pattern."""
    folded = _split_route(pattern)
    return folded.split("/") if folded else []


def _fold_template(raw: list[str]) -> list[str]:
    """The segments of a template; nothing else of it is an id. A parameter for the locale is no segment."""
    found: list[str] = []
    for segment in raw:
        match = _TEMPLATE.fullmatch(segment)
        if match:
            name = next((text for text in match.groupdict().values() if text), "")
            if name.lower() not in _VOCABULARY.locale_parameters:
                found.append(ID)
        elif not _GROUP.fullmatch(segment):
            found.append(segment.casefold())
    return found


def _fold_segments(raw: list[str]) -> list[str]:
    found: list[str] = []
    for text in raw:
        before = found[-1] if found else ""
        if is_locale(text) and all(_may_precede_locale(s) for s in found):
            found.append(mark_locale(text))
        elif entity := fold_key(text):
            found.append(entity.casefold())
        elif text.startswith(ID) or is_id(text) or is_id(text.casefold()) or _names_one_thing(before, text):
            found.append(ID)
        elif _HANDLE.fullmatch(text):
            found.append(text[0] + ID)
        else:
            found.append(text.casefold())
    return found


def _may_precede_locale(segment: str) -> bool:
    return segment in _VOCABULARY.shells or segment in _VOCABULARY.ambiguous or segment.startswith("!")


def is_id(segment: str) -> bool:
    """Whether a segment is an id by its form alone."""
    if EMAIL.fullmatch(segment) or _ISSUE.fullmatch(segment) or segment.isdigit():
        return True
    return is_opaque(segment) or (len(segment) >= 20 and segment.count("-") >= 4 and segment.replace("-", "").isalnum())


def _names_one_thing(collection: str, segment: str) -> bool:
    """Whether the segment is one of many things of a collection: ``/users/alice``, not ``/users/new``."""
    low = segment.casefold()
    return (
        collection in _VOCABULARY.collections and low not in _VOCABULARY.reserved and low not in _VOCABULARY.collections
    )


def is_locale(segment: str) -> bool:
    """Whether a segment has the form of a locale: a language of ISO 639-1, perhaps with script and region (BCP 47)."""
    match = _LOCALE.fullmatch(segment) or _LOCALE.fullmatch(segment.lower())
    if match is None:
        return False
    language = match["language"]
    return language in _VOCABULARY.languages or language in _VOCABULARY.ambiguous


def mark_locale(segment: str) -> str:
    """The segment in one case; with ``!`` before it if it has a region or is a language that is no word."""
    low = segment.casefold().replace("_", "-")
    return low if low in _VOCABULARY.ambiguous else f"!{low}"
