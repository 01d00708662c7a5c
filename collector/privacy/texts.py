"""Masks texts by their kind; the results for short texts are cached."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from collector.privacy import patterns, scan
from collector.privacy.cache import CACHED_LENGTH, Cache
from collector.privacy.plain import CONTROL, decode_entities

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_PATH = 4_096
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,40}://[^/?#]*")


def mask_text(text: str) -> str:
    """Mask ``text`` (a label, a message); queries of URLs in it and control characters are removed."""
    return _TEXTS[text] if len(text) <= CACHED_LENGTH else _mask_text(text)


def mask_path(text: str) -> str:
    """The masked path of a URL or route, without origin, query and fragment; ``/`` when nothing else remains."""
    return _PATHS[text] if len(text) <= CACHED_LENGTH else _mask_path(text)


def mask_source(text: str) -> str:
    """The masked URL of a script, without query, fragment and credentials. The origin stays: it identifies browser
    extensions and third parties."""
    return _SOURCES[text] if len(text) <= CACHED_LENGTH else _mask_source(text)


def mask_name(text: str) -> str:
    """As `mask_text`, for an id, selector or user agent: runs of digits stay, so that different targets stay different."""
    return _NAMES[text] if len(text) <= CACHED_LENGTH else _mask_name(text)


def mask_version(text: str) -> str:
    """As `mask_name`, for a version: four numbers with dots are not an address."""
    return _VERSIONS[text] if len(text) <= CACHED_LENGTH else _mask_version(text)


def cut_query(text: str) -> str:
    """``text`` up to its first ``?`` or ``#``. The length limit of a path applies to this part."""
    for mark in "?#":
        head, found, _ = text.partition(mark)
        if found:
            text = head
    return text


def holds_secret(text: str) -> bool:
    """Whether an id contains an address, a card number, a vendor's key or the like. Opaque ids do not count."""
    return _IDS[text] if len(text) <= CACHED_LENGTH else _holds_secret(text)


def _replace_unprintable(text: str) -> str:
    return text if text.isprintable() else CONTROL.sub(" ", text)


def _mask_text(text: str) -> str:
    return scan.mask_secrets(_replace_unprintable(text), scan.TEXT)


def _mask_name(text: str) -> str:
    return scan.mask_secrets(_replace_unprintable(text), scan.NAME)


def _mask_version(text: str) -> str:
    return scan.mask_secrets(_replace_unprintable(text), scan.VERSION)


def decode_markup(text: str) -> str:
    """``text`` with its HTML entities decoded: their "#" does not begin a fragment, or half of an address would stay."""
    return decode_entities(text) if "&#" in text[:_LONGEST_PATH] and len(text) <= _LONGEST_PATH else text


def _cut_query_of_markup(text: str) -> str:
    return cut_query(decode_markup(text))


def _mask_source(text: str) -> str:
    return scan.mask_secrets(_replace_unprintable(_cut_query_of_markup(text)), scan.SOURCE)


def _mask_path(text: str) -> str:
    text = _cut_query_of_markup(text)
    origin = _ORIGIN.match(text)
    if origin:
        text = text[origin.end() :]
    text = _UNPRINTABLE.sub(" ", text).strip()
    if ";" in text:
        text = patterns.SESSION_IN_PATH.sub("", text)
    return cut_query(_UNPRINTABLE.sub(" ", scan.mask_secrets(text, scan.PATH))) or "/"


def _holds_secret(text: str) -> bool:
    return scan.mask_secrets(_replace_unprintable(text), scan.ID) != text


_TEXTS = Cache(_mask_text)
_PATHS = Cache(_mask_path)
_SOURCES = Cache(_mask_source)
_NAMES = Cache(_mask_name)
_VERSIONS = Cache(_mask_version)
_IDS = Cache(_holds_secret)

MASKS_OF_SHORT_TEXTS: Final[Mapping[Callable[[str], str], Callable[[str], str]]] = {
    mask_text: _TEXTS.__getitem__,
    mask_path: _PATHS.__getitem__,
    mask_source: _SOURCES.__getitem__,
    mask_name: _NAMES.__getitem__,
    mask_version: _VERSIONS.__getitem__,
}
"""Does the same for texts of at most `CACHED_LENGTH`, in one step."""
