"""The numbers that signals declare beside their rules: collected here, so that ``Config`` and the score need not know signals.

``ufse.signals.registry`` registers the signals; whoever imports ``ufse`` has it loaded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")


class Threshold(NamedTuple):
    """What a threshold means, its default, and the least and greatest value that it may have."""

    meaning: str
    default: int
    low: int
    high: int


class Rule(NamedTuple):
    """A rule of the score: its default points (0 to 100) and its words in an explanation."""

    points: int
    text: str


@dataclass(frozen=True)
class Declaration:
    """What a signal declares: its name in the output, its thresholds and its rules of the score."""

    name: str
    thresholds: Mapping[str, Threshold] = field(default_factory=dict, kw_only=True)
    """By name. ``config[name]`` reads the value."""
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    """By name. A project sets their points under ``weights``."""


_registered: list[Sequence[Declaration]] = []


def collect_declarations(source: Sequence[Declaration]) -> None:
    """Reads the numbers of these signals from now on, and of those that are added to ``source`` later."""
    _registered.append(source)


def declared_thresholds() -> dict[str, Threshold]:
    """The thresholds of all registered signals."""
    return {name: value for source in _registered for kind in source for name, value in kind.thresholds.items()}


def declared_rules() -> dict[str, Rule]:
    """The rules of all registered signals."""
    return {name: rule for source in _registered for kind in source for name, rule in kind.rules.items()}


class Collected(Mapping[str, _T]):
    """A mapping of the engine's own entries, followed by those that registered signals declare."""

    def __init__(self, own: Mapping[str, _T], declared: Callable[[], Mapping[str, _T]]) -> None:
        self.own, self._declared = own, declared

    def __getitem__(self, name: str) -> _T:
        return self.own[name] if name in self.own else self._declared()[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._declared()

    def __len__(self) -> int:
        return len(self.own) + len(self._declared())
