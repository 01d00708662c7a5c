"""PostHog's bodies: JSON, the form ``data=`` with Base64, a batch, a list or one event."""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

from collector.streams.lenient import read_time
from collector.streams.posthog.shapes import Envelope
from collector.streams.stream import SentBody, UnreadableBody

_DECODER: Final = msgspec.json.Decoder(list[msgspec.Raw] | Envelope)


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a body, undecoded, and the sender's clock (epoch milliseconds)."""

    items: Sequence[msgspec.Raw | bytes]
    sent_ms: int | None


def split_body(sent: SentBody) -> Items:
    """The items of a body. Raises UnreadableBody if it is not of PostHog's form."""
    content = _undo_form(sent.content.strip(), sent)
    try:
        decoded = _DECODER.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise UnreadableBody("the body is not JSON of PostHog's form") from None
    stamp = read_time(_as_number(sent.query.get("_", "")))
    if isinstance(decoded, list):
        return Items(decoded, stamp)
    sent_ms = read_time(decoded.sent_at)
    items = decoded.batch if decoded.batch is not None else decoded.data
    if items is None:
        if not bytes(decoded.event):
            raise UnreadableBody("the body has neither batch nor event")
        items = [msgspec.Raw(content)]
    return Items(items, stamp if sent_ms is None else sent_ms)


def _as_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _read_form(content: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(content.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise UnreadableBody("the form has too many fields") from None


def _undo_form(content: bytes, sent: SentBody) -> bytes:
    if sent.query.get("compression") in ("lz64", "lz-string"):
        raise UnreadableBody("the compression lz64 is not supported")
    if content[:1] in (b"{", b"["):
        return content
    if content.startswith(b"data=") or b"&data=" in content[:1024]:
        fields = _read_form(content)
        encoded = fields.get("data", [""])[-1].replace(" ", "+").encode("latin-1", "replace")
    else:
        encoded = unquote_to_bytes(content)
    if encoded[:1] in (b"{", b"["):
        return encoded
    try:
        return binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        raise UnreadableBody("the body is neither JSON nor Base64") from None
