"""The numbers that signals declare beside their rules: collected here, so that ``Config`` and the score need not know signals.

``ufse.signals.registry`` registers the signals. The engine loads it. Code that reads these numbers without running the engine
(settings, documentation) calls `load_signals` first: before that, the numbers that signals declare are missing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
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


def load_signals() -> None:
    """Load every signal, so that its numbers are known here. Costs a second and about 80 MB where the engine is not loaded."""
    import_module("ufse.signals.registry")


def declared_thresholds() -> dict[str, Threshold]:
    """The thresholds of all signals that are loaded."""
    return {name: value for source in _registered for kind in source for name, value in kind.thresholds.items()}


def declared_rules() -> dict[str, Rule]:
    """The rules of all signals that are loaded."""
    return {name: rule for source in _registered for kind in source for name, rule in kind.rules.items()}


class Collected(Mapping[str, _T]):
    """A mapping of the engine's own entries, followed by those that the loaded signals declare."""

    def __init__(self, own: Mapping[str, _T], declared: Callable[[], Mapping[str, _T]]) -> None:
        self.own, self._declared = own, declared

    def __getitem__(self, name: str) -> _T:
        return self.own[name] if name in self.own else self._declared()[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._declared()

    def __len__(self) -> int:
        return len(self.own) + len(self._declared())
