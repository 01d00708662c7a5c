"""Decodes JSON as browsers write it."""

import json
import math
from typing import Any, NoReturn

import msgspec

DECODER = msgspec.json.Decoder()


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
            parse_float=parse_finite_float,
            parse_int=parse_bounded_int,
        )
        return DECODER.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text (UTF-8) from byte {error.start + 1} on") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def parse_finite_float(digits: str) -> float | None:
    """The number; None beyond a double."""
    number = float(digits)
    return number if math.isfinite(number) else None


def parse_bounded_int(digits: str) -> int | float | None:
    """The whole number; as a double beyond 18 digits."""
    return int(digits) if len(digits) <= 18 else parse_finite_float(digits)
