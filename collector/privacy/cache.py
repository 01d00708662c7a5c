"""A cache of a function of one text, limited in bytes, because strangers choose the texts."""

from collections.abc import Callable
from typing import Final, TypeVar

_T = TypeVar("_T")

CACHED_LENGTH: Final = 256
"""Longest cached text. Longer texts are rare; callers compute them without the cache."""
CACHE_BYTES: Final = 4 << 20
_ENTRY_BYTES = 200  # a dictionary entry and two objects, without their characters


class Cache(dict[str, _T]):
    """``cache[text]`` is ``compute(text)``. The cache is cleared when its keys and values take ``CACHE_BYTES``.

    A dictionary with ``__missing__`` is the fastest lookup in Python; intake makes about ten per event. Threads may share a
    cache: two concurrent misses compute the same value.
    """

    __slots__ = ("_compute", "_left")

    def __init__(self, compute: Callable[[str], _T]) -> None:
        super().__init__()
        self._compute = compute
        self._left = CACHE_BYTES

    def __missing__(self, text: str) -> _T:
        answer = self._compute(text)
        size = _ENTRY_BYTES + 4 * len(text) + (4 * len(answer) if isinstance(answer, str) else 0)
        self._left -= size
        if self._left < 0:
            self.clear()
            self._left = CACHE_BYTES - size
        self[text] = answer
        return answer
