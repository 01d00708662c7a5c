"""Answers of a function of one text, kept while they take few bytes: the texts are chosen by strangers."""

from collections.abc import Callable
from typing import Final, TypeVar

_T = TypeVar("_T")

CACHED_LENGTH: Final = 256
"""Longer texts are rare; they are computed each time. Callers ask for these past the cache."""
CACHE_BYTES: Final = 4 << 20
_ENTRY_BYTES = 200  # a place in a dictionary, and two objects beside their characters


class Cache(dict[str, _T]):
    """``cache[text]`` is ``compute(text)``. It is emptied when its keys and values have taken ``CACHE_BYTES``.

    A dictionary that fills itself is the fastest lookup that Python has, and intake asks some ten times an event. Threads
    may share it: two that miss at once compute the same.
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
