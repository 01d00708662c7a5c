"""Decodes JSON as browsers write it."""

import json
import math
from typing import Any, NoReturn

import msgspec

from collector.contract.rows import InvalidBatch

DECODER = msgspec.json.Decoder()


def decode_body(body: bytes) -> dict[str, Any]:
    """A request body as a JSON object. Raises InvalidBatch (400)."""
    try:
        batch = decode_json(body)
    except ValueError as error:
        raise InvalidBatch(400, "invalid_json", f"the body is not JSON: {error}") from None
    if not isinstance(batch, dict):
        raise InvalidBatch(400, "invalid_batch", 'the body must be an object: {"events": [...]}')
    return batch


def decode_json(text: bytes) -> Any:
    """Decode JSON as browsers write it; half of a surrogate pair becomes ``?``. Raises ValueError."""
    try:
        return DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(text)


def _decode_leniently(text: bytes) -> Any:
    # The fast decoder refuses a whole batch for a label that JavaScript cut inside a surrogate pair, or for a number beyond
    # a double. These are errors of one event.
    try:
        value = json.loads(
            text.decode("utf-8-sig"),
            parse_constant=_refuse_constant,
            parse_float=_parse_finite_float,
            parse_int=_parse_bounded_int,
        )
        return DECODER.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text (UTF-8) from byte {error.start + 1} on") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _parse_finite_float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _parse_bounded_int(digits: str) -> int | float | None:
    return int(digits) if len(digits) <= 18 else _parse_finite_float(digits)
