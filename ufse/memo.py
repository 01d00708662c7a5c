"""A cache for pure functions of texts, bounded in bytes, because the texts and their lengths come from clients."""

import functools
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

MEMO_BYTES: Final = 16 << 20
_ENTRY_BYTES = 400  # a place in a dictionary, a tuple, and objects beside their characters


def memoize_texts(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorator: caches the results of a pure function of texts; the cache is emptied when it exceeds ``MEMO_BYTES``."""
    known: dict[tuple[object, ...], _T] = {}
    left = MEMO_BYTES

    @functools.wraps(function)
    def remembered_answer(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        nonlocal left
        try:
            return known[args]
        except KeyError:
            pass
        answer = function(*args, **kwargs)
        size = _ENTRY_BYTES + 8 * sum(len(part) for part in args if isinstance(part, str))  # the key and the answer
        left -= size
        if left < 0:
            known.clear()
            left = MEMO_BYTES - size
        known[args] = answer
        return answer

    return remembered_answer
