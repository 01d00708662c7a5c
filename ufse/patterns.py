"""Replaces generated ids in routes, URLs, target ids and messages, so that sessions share failure points ("folding")."""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from ufse.memo import memoize_texts

ID: Final = ":id"
MAX_SEGMENT: Final = 64
MAX_MESSAGE: Final = 120

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
_HEX = re.compile(r"(?=[a-f]*\d)[0-9a-f]{8,}", re.I)
_WORDY_DIGITS = re.compile(
    r"v\d{1,3}(\.\d+)*|(?:oauth|base|sha|md|utf|mp|web|http|h|x|ipv|s|ec|i|k|l|a|p|b)\d{1,3}[a-z]{0,3}|\d?[a-z]+\d?",
    re.I,
)
_HASH_PAGE = re.compile(r"(!?)(/[^?#]*[^?#/])")
_HASH_MARKS: Final = ("#", "#!")
_KEYED = re.compile(
    r"([A-Za-z_][\w.]*)\((?:-?\d+|(?:guid)?'[^()]*'|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\w+=[^()]+|:id)\)", re.I
)
"""An entity and key: ``Orders(42)``, ``Customers('ALFKI')``, ``Lines(Order=1,Product=11)`` (OData 4.01, URL conventions)."""
_TOKEN = re.compile(r"[^\W_]+|[\W_]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_FILE = re.compile(r"(.+)(\.[a-z][a-z0-9]{1,4})", re.I)
_MESSAGE_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|\b\d{2,}\b",
    re.I,
)


def clean_text(text: str) -> str:
    """The text on one line: control characters and lone surrogates become spaces."""
    return _CONTROL.sub(" ", text).strip() if not text.isascii() or not text.isprintable() else text.strip()


def _is_generated_id(segment: str) -> bool:
    if segment.isdigit() or _UUID.fullmatch(segment) or len(segment) > MAX_SEGMENT:
        return True
    digits = sum(c.isdigit() for c in segment)
    if not digits or _WORDY_DIGITS.fullmatch(segment):
        return False
    if _HEX.fullmatch(segment) or digits >= 3:
        return True
    return len(segment) >= 16 or any(len(t) >= 2 and t.isdigit() for t in re.split(r"[-_.~]", segment))


def fold_key(segment: str) -> str:
    """An OData entity without its key; "" for another segment."""
    keyed = _KEYED.fullmatch(segment.replace("%27", "'")) if segment.endswith(")") else None
    return f"{keyed[1]}({ID})" if keyed else ""


def _fold_segment(segment: str) -> str:
    if segment.startswith((":", "{", "[", "*")):
        return segment
    if segment.endswith(")") and (entity := fold_key(segment)):
        return entity
    if _is_generated_id(segment):
        file = _FILE.fullmatch(segment)
        if file is None:
            return ID
        return ID + file[2].lower() if _is_generated_id(file[1]) else segment
    return segment


def fold_path_uncached(path: str) -> str:
    """As ``fold_path``, for callers with a cache of their own."""
    return _fold_path(path)


@memoize_texts
def fold_path(path: str) -> str:
    """The pattern of a route or URL path: ``/orders/8841`` gives ``/orders/:id``.

    Numbers, UUIDs, hex strings, long opaque tokens and slugs with digits are replaced; words, versions (``v2``) and names such
    as ``oauth2`` stay. Query, trailing slash and origin are removed, and the fragment unless it is the page of a hash router:
    ``/#/orders/8841?tab=2`` gives ``/#/orders/:id``. The key of an OData entity, too: ``/Orders(42)`` gives ``/Orders(:id)``.
    """
    return _fold_path(path)


def _fold_path(path: str) -> str:
    text = clean_text(path)
    if "://" in text[:12]:
        text = "/" + text.split("://", 1)[1].partition("/")[2]
    if "?" in text or "#" in text:
        text = _cut_parameters(text)
    folded = "/".join([s if s.isalpha() and len(s) <= MAX_SEGMENT else _fold_segment(s) for s in text.split("/") if s])
    return "/" + folded if folded or text else ""


def _cut_parameters(path: str) -> str:
    """``path`` without query and without a fragment that is no page; the mark of a page becomes a segment of its own."""
    before, _, fragment = path.partition("#")
    page = _HASH_PAGE.match(fragment)
    return before.partition("?")[0] + (f"/#{page[1]}{page[2]}" if page else "")


@memoize_texts
def fold_target_name(name: str) -> str:
    """A target's id or selector with generated parts replaced: ``row-8841-delete`` gives ``row-:id-delete``.

    One-digit numbers stay: ``address-line-2`` is a separate field.
    """
    text = _UUID.sub(ID, clean_text(name))
    if not any(c.isdigit() for c in text):
        return text[:200]
    return "".join(_fold_token(t) for t in _TOKEN.findall(text))[:200]


def _fold_token(token: str) -> str:
    digits = sum(c.isdigit() for c in token)
    if digits < 2 or not token[0].isalnum() or _WORDY_DIGITS.fullmatch(token):
        return token
    if token.isdigit() or _HEX.fullmatch(token):
        return ID
    stem = token.rstrip("0123456789")
    if stem.isalpha():
        return stem + ID
    return ID if len(token) >= 5 else token


@memoize_texts
def fold_message(message: str) -> str:
    """An error message with numbers and ids replaced, on one line, at most 120 characters."""
    return " ".join(_MESSAGE_ID.sub(ID, clean_text(message[:1_000])).split())[:MAX_MESSAGE]


def digest_texts(parts: Iterable[str]) -> str:
    """A hash of 32 hex characters over texts; neighbouring texts cannot run into each other."""
    texts = list(parts)
    whole = "\x1f".join(texts)
    if whole.count("\x1f") >= len(texts):
        whole = "\x1f".join([t.replace("\x1f", " ") for t in texts])
    return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def find_flow_name(pattern: str) -> str:
    """The name of a route's flow: its first segment that is not a shell such as ``/app``, a language or an id.

    With a hash router, the path before the fragment is the application's document, and a shell, too.
    """
    segments = [s for s in pattern.split("/") if s]
    for mark in _HASH_MARKS:
        if mark in segments[:-1]:
            segments = segments[segments.index(mark) + 1 :]
    while len(segments) > 1 and (
        segments[0] in _SHELLS or segments[0].startswith(":") or _LOCALE.fullmatch(segments[0])
    ):
        segments = segments[1:]
    return segments[0] if segments else ""


_SHELLS: Final = frozenset(
    {"app", "portal", "admin", "web", "site", "shop", "store", "my", "ui", "console", "dashboard", "t"}
)
_LOCALE = re.compile(r"[a-z]{2}([-_][a-z]{2})?", re.I)
