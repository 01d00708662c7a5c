"""The endpoints of requests and errors: their labels with ids folded, and which of them are noise by themselves."""

import re
from threading import Lock
from typing import Final, NamedTuple

import numpy as np

from ufse.arrays import Bools, Ints, Small, compact_codes
from ufse.event_columns import EventColumns, encode_text_tuples
from ufse.foreign import find_foreign_stacks, is_foreign_error, is_foreign_stack
from ufse.patterns import clean_text, fold_message, fold_path, fold_path_uncached
from ufse.sessions import ERROR, NETWORK

_MEDIA = (
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico", ".bmp", ".css", ".map"),
    *(".woff", ".woff2", ".ttf", ".otf", ".eot"),
    *(".mp4", ".webm", ".mp3", ".ogg", ".wav", ".m4a", ".m4s", ".m3u8", ".mpd", ".mov", ".ts"),
)


_HARMLESS = (
    "resizeobserver",
    "aborterror",
    "the user aborted a request",
    "the operation was aborted",
    "canceled",
    "cancelled",
)


_Label = tuple[str, bool, bool]
"""Of an endpoint: its text, whether a URL or message identifies it, and whether it is noise by itself."""


def encode_endpoints(source: EventColumns, kind: Small) -> tuple[Ints, list[str], Bools, Bools]:
    """(Code per network and error event, texts by code, whether a URL or message identifies each, noise per event).

    ``identified`` has one entry more than the texts, for code -1.
    """
    code = np.full(len(kind), -1, dtype=np.int64)
    noise = np.zeros(len(kind), dtype=np.bool_)
    texts: list[str] = []
    known: list[bool] = []
    for wanted, labelled in ((NETWORK, _encode_requests), (ERROR, _encode_errors)):
        rows = np.flatnonzero(kind == wanted)
        if not len(rows):
            continue
        part, labels = labelled(source, rows)
        identified = {text for text, is_known, _ in labels if is_known}
        place = {t: len(texts) + i for i, t in enumerate(sorted({t for t, _, _ in labels}))}
        code[rows] = np.array([place[t] for t, _, _ in labels])[part]
        noise[rows] = np.array([n for _, _, n in labels])[part]
        if wanted == ERROR:
            noise[rows] |= find_foreign_stacks(source, rows)
        texts += list(place)
        known += [t in identified for t in place]
    return code, texts, np.array([*known, False], dtype=np.bool_), noise


def _encode_requests(source: EventColumns, rows: Ints) -> tuple[Ints, list[_Label]]:
    """(Code per request, labels by code). Labels are made of folded addresses, which are far fewer than URLs."""
    method, methods = source.read_codes("method", rows)
    url, urls = source.read_codes("url", rows)
    kept = _ADDRESS_CACHE.encode_urls(urls)
    address, used = compact_codes(kept.codes[url], len(kept.addresses))
    size = max(len(used), 1)
    code, pairs = compact_codes(method * size + address, max(len(methods), 1) * size)
    addresses = [kept.addresses[a] for a in used.tolist()]
    return code, [_request_label(methods[pair // size], addresses[pair % size]) for pair in pairs.tolist()]


def _encode_errors(source: EventColumns, rows: Ints) -> tuple[Ints, list[_Label]]:
    """(Code per error, labels by code)."""
    frames = ("frame",) if "frame" in source.table.column_names else ()
    code, tuples = encode_text_tuples(source, rows, ("error_type", "message", "source", *frames))
    return code, [_error_label(*t) for t in tuples]


_INLINE = "!"
"""Prefix of addresses that are no network request; other addresses begin with a slash or are empty."""


def _fold_address(url: str) -> str:
    # The URL is cached by its code; it need not be cached as a path too.
    return (_INLINE if url.startswith(("data:", "blob:", "ws:", "wss:")) else "") + fold_path_uncached(url)


class _CodedAddresses(NamedTuple):
    """Codes of some URLs' addresses, and the addresses by code."""

    codes: Ints
    addresses: list[str]


class _AddressCache:
    """A cache of the addresses of URLs across batches: a lookup is several times cheaper than folding.

    It holds up to ``limit`` URLs of up to ``longest`` characters, and is emptied when it is full.
    """

    def __init__(self, limit: int = 65_536, longest: int = 512) -> None:
        self._limit, self._longest = limit, longest
        self._lock = Lock()
        self._number: dict[str, int] = {}
        self._addresses: dict[str, int] = {}

    def encode_urls(self, urls: list[str]) -> _CodedAddresses:
        """The codes of these URLs, and the addresses by code. Thread-safe."""
        with self._lock:
            if max(len(self._number), len(self._addresses)) > self._limit:
                self._number, self._addresses = {}, {}
            try:
                codes = np.fromiter(map(self._number.__getitem__, urls), dtype=np.int64, count=len(urls))
            except KeyError:
                codes = np.fromiter(map(self._encode_url, urls), dtype=np.int64, count=len(urls))
            return _CodedAddresses(codes, list(self._addresses))

    def _encode_url(self, url: str) -> int:
        number = self._number.get(url)
        if number is None:
            address = _fold_address(url)
            number = self._addresses.setdefault(address, len(self._addresses))
            if len(url) <= self._longest:
                self._number[url] = number
        return number


_ADDRESS_CACHE: Final = _AddressCache()


def _request_label(method: str, address: str) -> _Label:
    path = address.removeprefix(_INLINE)
    noise = method == "OPTIONS" or path.lower().endswith(_MEDIA) or path != address
    return f"{clean_text(method)} {path}".strip(), bool(path), noise


_POSITION = re.compile(r"(:\d+){1,2}$")
_BUILD = re.compile(r"[.\-_](?=[0-9A-Za-z_\-]*\d)[0-9A-Za-z_\-]{6,}(?=\.)")
"""The hash of a build in the name of a script; it changes with every release, and so do lines and columns."""


def _name_script(frame: str) -> str:
    """The script of a stack's top frame, without address, build and position; '' without one."""
    path = _POSITION.sub("", frame.strip().rstrip(")")).split("?", 1)[0].split("#", 1)[0]
    name = path.replace("\\", "/").rsplit("/", 1)[-1].rsplit(" ", 1)[-1]
    return clean_text(_BUILD.sub("", name))[:80]


def _error_label(kind: str, message: str, source: str, frame: str = "") -> _Label:
    folded = fold_message(message)
    low, origin = message.lower(), source.lower()
    noise = (
        is_foreign_error(low, origin)
        or (bool(frame) and is_foreign_stack(frame))
        or any(h in low for h in _HARMLESS)
        or (low.startswith("script error") and not source)
        or (kind == "resource" and _is_media_resource(f"{low} {origin}"))
    )
    if kind == "validation":
        return f"validation error: {folded}" if folded else "validation error", bool(folded), noise
    if kind == "resource":
        return f"resource error: {folded or fold_path(source)}", True, noise
    script = _name_script(frame)
    return (folded or "uncaught error") + (f" ({script})" if script else ""), bool(folded or script), noise


def _is_media_resource(text: str) -> bool:
    """Whether a resource that failed to load is not known to be a script; only a script is evidence.

    If the text names an image beside a script, the script only requested the image.
    """
    names = [w.split("?", 1)[0].strip("'\")(,;") for w in text.split()]
    return any(n.endswith(_MEDIA) for n in names) or not any(n.endswith((".js", ".mjs")) or "chunk" in n for n in names)
