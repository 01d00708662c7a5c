"""The order of versions and releases: semantic and calendar versions, dotted numbers, and names by their time.

Pure. Two versions are compared by their numbers where both have some, else by when they were released or first seen. What
cannot be ordered is unknown (None): nobody is alerted of it (docs/decisions/0139).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

MOST_DIGITS: Final = 6
"""Digits of a whole number without dots up to which it is a build number (own choice). A longer one may be a hash of digits."""

_Identifier = tuple[int, int, str]
_Order = tuple[tuple[int, ...], tuple[int, tuple[_Identifier, ...]]]

# "app@2.5.0", "Web 2.5", "checkout-2.5.0": a name before dotted numbers.
_NAMED = re.compile(r"^@?[A-Za-z][A-Za-z0-9 ._/-]*?[ _/@-](?=v?\d+\.\d)", re.ASCII)
_PREFIX = re.compile(r"^(?:versions?|releases?|ver|rel|v|r)[-_/. ]?(?=\d)", re.IGNORECASE | re.ASCII)
_CALENDAR = re.compile(
    r"^(?P<year>20\d\d)-(?P<month>\d\d?)(?:-(?P<day>\d\d?))?(?:[-._T ](?P<rest>\d+(?:[.:_-]\d+)*))?"
    r"(?P<tail>[-+._ ][A-Za-z].*|\+.+)?$",
    re.ASCII,
)
_COMPACT = re.compile(
    r"^(?P<year>20\d\d)(?P<month>\d\d)(?P<day>\d\d)[T_]?(?P<rest>\d{4}|\d{6}|[-._]\d+)?(?P<tail>[-+_ ].+)?$", re.ASCII
)
_DESCRIBED = re.compile(r"-(?P<commits>\d+)-g(?P<hash>[0-9a-f]{4,40})(?:-dirty)?$", re.ASCII)
_NUMBERS = re.compile(r"^(?P<numbers>\d+(?:\.\d+)*)(?P<tail>[^+]*)(?:\+(?P<build>.*))?$", re.ASCII | re.DOTALL)
_GLUED = re.compile(r"^(?:a|b|c|rc|alpha|beta|pre|preview|dev)\d*$", re.IGNORECASE | re.ASCII)
_AFTER = re.compile(r"^[-._]?(?:post|rev|sp|patch|p)[-._]?(?P<number>\d*)$", re.IGNORECASE | re.ASCII)
_FINAL = re.compile(r"^[-._](?:final|release|ga|stable)$", re.IGNORECASE | re.ASCII)
_PARTS = re.compile(r"\d+|[^\d.\-_ ]+", re.ASCII)
_BEFORE, _AT, _LATER = 0, 1, 2


class ParsedVersion(NamedTuple):
    """A version with numbers.

    ``numbers``: without zeros at the end, so that 2.5 is 2.5.0. ``stage``: a pre-release before the release, and what comes
    after it. ``build``: text that does not order; '' without one. The first two, as a tuple, are a total order.
    """

    numbers: tuple[int, ...]
    stage: tuple[int, tuple[_Identifier, ...]]
    build: str

    @property
    def order(self) -> _Order:
        """What sorts it."""
        return self.numbers, self.stage


@lru_cache(maxsize=10_000)
def parse_version(text: str) -> ParsedVersion | None:
    """The numbers of a version; None for a hash or another name, which only its time can order."""
    version = _PREFIX.sub("", _NAMED.sub("", text.strip()))
    calendar = _CALENDAR.match(version) or _COMPACT.match(version)
    if calendar and (found := _read_calendar(calendar)):
        return found
    match = _NUMBERS.match(version)
    if match is None:
        return None
    numbers, tail, build = match["numbers"], match["tail"], match["build"] or ""
    described = _DESCRIBED.search(tail)
    commits: tuple[_Identifier, ...] = ()
    if described:
        tail, build = tail[: described.start()], build or described["hash"]
        commits = _read_identifiers(described["commits"])
    if "." not in numbers:
        # A counter of builds, with or without the hash of what was built.
        if len(numbers) > MOST_DIGITS or (tail and tail[0] not in "-_"):
            return None
        return ParsedVersion(_strip_zeros([int(numbers)]), (_AT, ()), build or tail[1:])
    stage = _read_stage(tail)
    if stage is None:
        return None
    if commits:
        stage = (_LATER if stage[0] == _AT else stage[0], (*stage[1], *commits))
    return ParsedVersion(_strip_zeros([int(part) for part in numbers.split(".")]), stage, build)


def _read_calendar(match: re.Match[str]) -> ParsedVersion | None:
    month, day = int(match["month"]), int(match["day"] or 1)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    rest = [int(part) for part in re.findall(r"\d+", match["rest"] or "")]
    numbers = [int(match["year"]), month, *([int(match["day"])] if match["day"] else []), *rest]
    return ParsedVersion(_strip_zeros(numbers), (_AT, ()), (match["tail"] or "")[1:])


def _read_stage(tail: str) -> tuple[int, tuple[_Identifier, ...]] | None:
    if not tail or _FINAL.match(tail):
        return _AT, ()
    if after := _AFTER.match(tail):
        return _LATER, _read_identifiers(after["number"] or "0")
    if tail[0] not in "-._" and not _GLUED.match(tail):
        return None
    identifiers = _read_identifiers(tail)
    return (_BEFORE, identifiers) if identifiers else None


def _read_identifiers(text: str) -> tuple[_Identifier, ...]:
    """Numbers before words, as SemVer 2.0.0 has it; "rc10" is "rc" and 10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in _PARTS.findall(text))


def _strip_zeros(numbers: list[int]) -> tuple[int, ...]:
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def compare_versions(version: str, other: str) -> int | None:
    """-1, 0 or 1: ``version`` is older than, the same as, or newer than ``other`` by their numbers; None: not ordered by them.

    Different builds of one version are ordered by their numbers if both are numbers. A version without a build is the same as
    each of its builds.
    """
    if version == other:
        return 0
    left, right = parse_version(version), parse_version(other)
    if left is None or right is None:
        return None
    if left.order != right.order:
        return 1 if left.order > right.order else -1
    if not left.build or not right.build or left.build == right.build:
        return 0
    if left.build.isdecimal() and right.build.isdecimal():
        return _compare_numbers(int(left.build), int(right.build))
    return None


def _compare_numbers(left: int, right: int) -> int:
    return (left > right) - (left < right)


@dataclass(frozen=True)
class Release:
    """A version in an environment ('': in all). ``branch``: '' if nobody named it. ``at``: time of release, else first sight;
    ``is_added``: it is the former."""

    version: str
    environment: str = ""
    branch: str = ""
    at: datetime | None = None
    is_added: bool = False


class ReleaseOrder:
    """The order of versions in the environments of one project."""

    def __init__(self, releases: Iterable[Release] = ()) -> None:
        self._known: dict[tuple[str, str], Release] = {}
        self._of_branches: dict[tuple[str, _Order], list[Release]] = {}
        for release in releases:
            self._known[release.environment, release.version] = release
            if release.branch and (parsed := parse_version(release.version)):
                self._of_branches.setdefault((release.environment, parsed.order), []).append(release)

    def compare(self, version: str, other: str, environment: str = "") -> int | None:
        """-1, 0 or 1, as `compare_versions`; names by their times in ``environment``; None: the order is unknown.

        Of two branches (both told) names have no order, and numbers have none that the times contradict: 2.5 of the main
        branch, released before 2.4.1 of another, need not have what 2.4.1 has.
        """
        numbers = compare_versions(version, other)
        if numbers == 0:
            return 0
        left, right = self._find(version, environment), self._find(other, environment)
        apart = self.are_of_other_branches(version, other, environment)
        times = _compare_times(left, right)
        if numbers is None:
            return None if apart else times
        return None if apart and times not in (None, numbers) else numbers

    def are_of_other_branches(self, version: str, other: str, environment: str = "") -> bool:
        """Whether both versions were told, with different branches."""
        left, right = self._find(version, environment), self._find(other, environment)
        return bool(left and right and left.branch and right.branch and left.branch != right.branch)

    def is_not_older(self, version: str, fix: str, environment: str = "") -> bool:
        """Whether ``version`` is known to be ``fix`` or newer."""
        order = self.compare(version, fix, environment) if version else None
        return order is not None and order >= 0

    def _find(self, version: str, environment: str) -> Release | None:
        """What is known of the version in ``environment``, or in all: rather a release with a branch, in any form of its
        version, then one without, then when sessions showed it."""
        exact = [found for place in (environment, "") if (found := self._known.get((place, version)))]
        of_branch = next((found for found in exact if found.branch), None) or self._find_other_form(
            version, environment
        )
        added = (found for found in exact if found.is_added)
        return of_branch or next(added, None) or next(iter(exact), None)

    def _find_other_form(self, version: str, environment: str) -> Release | None:
        """The first release with a branch that is the same by its numbers (`v2.5` for `2.5.0+33`); None if branches differ."""
        if (parsed := parse_version(version)) is None:
            return None
        for place in (environment, ""):
            same = [
                release
                for release in self._of_branches.get((place, parsed.order), ())
                if compare_versions(release.version, version) == 0
            ]
            if len({release.branch for release in same}) == 1:
                return min(same, key=lambda release: (release.at is None, release.at and release.at.timestamp()))
        return None


def _compare_times(left: Release | None, right: Release | None) -> int | None:
    """None when a time is unknown, or both are the same: they order nothing."""
    if left is None or right is None or left.at is None or right.at is None or left.at == right.at:
        return None
    return 1 if left.at > right.at else -1
