"""Inflates gzip and zlib bodies up to a limit: a bomb is not inflated."""

import zlib
from typing import Final

from collector.http_errors import ApiError

_RATIO: Final = 100
_RATIO_FROM_BYTES: Final = 64 << 10
_MAX_MEMBERS: Final = 64  # of one gzip body; each costs memory
GZIP: Final = 31
ZLIB: Final = 15
RAW_DEFLATE: Final = -15
"""The forms of compressed bodies, as zlib names them (``wbits``)."""
_NAMES: Final = {GZIP: "gzip", ZLIB: "zlib", RAW_DEFLATE: "deflate"}


def recognise_compression(start: bytes) -> int | None:
    """The form of a body that begins with ``start`` (two bytes suffice): `GZIP`, `ZLIB` or None.

    A zlib header is a multiple of 31 whose first byte is 0x78 for the usual window (RFC 1950, 2.2); no JSON, form, envelope
    or protobuf message of telemetry begins so.
    """
    if start[:2] == b"\x1f\x8b":
        return GZIP
    if len(start) >= 2 and start[0] == 0x78 and int.from_bytes(start[:2]) % 31 == 0 and not start[1] & 0x20:
        return ZLIB
    return None


def inflate_by_content(content: bytes, max_bytes: int) -> bytes:
    """``content`` inflated once if it is gzip or zlib, otherwise as it is. Raises ApiError (400, 413)."""
    form = recognise_compression(content)
    if form is not None:
        inflating = Inflating(max_bytes, form)
        content = b"".join(inflating.inflate_chunk(content))
        inflating.check_complete()
    if len(content) > max_bytes:
        raise ApiError(413, "too_large", f"a body has at most {max_bytes} bytes, also after inflating")
    return content


class Inflating:
    """Inflates one body, of gzip of one or several members, up to a limit relative to the bytes sent."""

    def __init__(self, max_bytes: int, form: int = GZIP) -> None:
        self._max_bytes = max_bytes
        self._form = form
        self._name = _NAMES[form]
        self._inflater = zlib.decompressobj(wbits=form)
        self._members = 0
        self._started = False
        self._received = self._inflated = 0

    def inflate_chunk(self, chunk: bytes) -> list[bytes]:
        """The inflated bytes of ``chunk``. Raises ApiError (400, 413)."""
        self._received += len(chunk)
        found = []
        while chunk:
            if self._inflater.eof:
                self._begin_next_member()
            self._started = True
            most = min(self._max_bytes, _RATIO_FROM_BYTES + _RATIO * self._received)
            try:
                plain = self._inflater.decompress(chunk, most + 1 - self._inflated)
            except zlib.error:
                raise ApiError(400, "invalid_gzip", f"the body is not valid {self._name}") from None
            self._inflated += len(plain)
            if self._inflated > most:
                limit = f"{self._max_bytes} bytes" if most == self._max_bytes else f"{_RATIO} times what was sent"
                raise ApiError(413, "too_large", f"a {self._name} body inflates to at most {limit}")
            found.append(plain)
            chunk = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        return found

    def check_complete(self) -> None:
        """Check the end of the body. Raises ApiError (400) when bytes are missing."""
        if self._started and not self._inflater.eof:
            raise ApiError(400, "invalid_gzip", f"the {self._name} body ends early")

    def _begin_next_member(self) -> None:
        if self._form != GZIP:
            raise ApiError(400, "invalid_gzip", f"bytes follow the end of the {self._name} body")
        self._members += 1
        if self._members >= _MAX_MEMBERS:
            raise ApiError(400, "invalid_gzip", f"a gzip body has at most {_MAX_MEMBERS} members")
        self._inflater = zlib.decompressobj(wbits=31)
