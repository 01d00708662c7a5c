"""The file of owners: one rule a line, the first that fits decides (docs/owners.md). It is read again when it changed.

A bad line is named with its number, counted, and left out; the other lines hold. While the file cannot be read, the rules that
were read last hold.
"""

import logging
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final, cast

from core.errors import PermanentError
from core.metrics import count_degraded
from core.project_settings import is_project_id
from core.settings import Settings
from incidents.owner_patterns import KINDS, Kind, Pattern, is_path, make_sample_places
from incidents.owners import NO_OWNERS, OwnerRule, OwnerRules, Problem

MAX_BYTES: Final = 1 << 20
MAX_RULES: Final = 1_000
MAX_LINE: Final = 1_000
MAX_PATTERNS: Final = 8
"""Patterns of a rule: all of them must fit, and each doubles the places at which rules are compared."""
ACCOUNT_KEYS: Final = ("jira", "linear-user", "linear-team")
"""Accounts of an owner that a definition (``@team = jira:…``) may name."""

_log = logging.getLogger("furrow.owners")
_OWNER: Final = re.compile(r"@[A-Za-z0-9][\w./-]{0,98}|[^\s@\"=]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,98}")
_TOKEN: Final = re.compile(r'(?:\\.|"[^"]*"|[^\s"\\])+')
_SECTION: Final = re.compile(r"\[\s*(?P<project>[^\[\]]*?)\s*\]")
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#.*$")
_ACCOUNT: Final = re.compile(r"[!-~]{1,128}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def parse_owners(text: str) -> OwnerRules:
    """The rules of a file's text, with what is wrong with it. Raises nothing."""
    reader = _Reader()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        reader.read_line(number, line)
    return OwnerRules(tuple(reader.rules), reader.accounts, (*reader.problems, *_find_shadowed_rules(reader.rules)))


class _Reader:
    """Reads line after line."""

    def __init__(self) -> None:
        self.rules: list[OwnerRule] = []
        self.accounts: dict[str, dict[str, str]] = {}
        self.problems: list[Problem] = []
        self._project = ""
        self._skips_section = False

    def read_line(self, number: int, line: str) -> None:
        """Read a line; what is wrong with it is noted."""
        if problem := self._find_problem(number, line):
            self.problems.append(Problem(number, problem))

    def _find_problem(self, number: int, line: str) -> str:
        if len(line) > MAX_LINE or _CONTROL.search(line):
            return f"a line has at most {MAX_LINE} characters, none of them a control character"
        content = _COMMENT.sub("", line).strip()
        if not content:
            return ""
        if section := _SECTION.fullmatch(content):
            return self._begin_section(section["project"])
        if self._skips_section:
            return "it stands in a section of no project"
        if content.replace('\\"', "").count('"') % 2:
            return "a quotation mark is not closed"
        tokens = [_unquote(token) for token in _TOKEN.findall(content)]
        if tokens[1:2] == ["="]:
            return self._define_owner(tokens[0], tokens[2:])
        return self._add_rule(number, tokens)

    def _begin_section(self, project: str) -> str:
        self._skips_section = project != "*" and not is_project_id(project)
        self._project = "" if project == "*" else project
        return f"[{project}] names no project; [*] is for all" if self._skips_section else ""

    def _define_owner(self, name: str, accounts: list[str]) -> str:
        if not _OWNER.fullmatch(name):
            return f"{name[:40]!r} is no owner; owners are @name or an e-mail address"
        pairs = [account.partition(":") for account in accounts]
        for key, _, value in pairs:
            if key not in ACCOUNT_KEYS or not _ACCOUNT.fullmatch(value):
                return f"{key[:40]!r} is no account with a value; accounts are {', '.join(ACCOUNT_KEYS)}, as in jira:ID"
        if name in self.accounts:
            return f"{name} is defined already"
        self.accounts[name] = {key: value for key, _, value in pairs}
        return ""

    def _add_rule(self, number: int, tokens: list[str]) -> str:
        owners = [token for token in tokens if _OWNER.fullmatch(token)]
        first = next((place for place, token in enumerate(tokens) if token in owners), len(tokens))
        conditions, rest = tokens[:first], tokens[first:]
        if wrong := [token for token in rest if token not in owners]:
            return f"{wrong[0][:40]!r} is no owner; owners are @name or an e-mail address, after the patterns"
        if not conditions:
            return "no pattern stands before the owners"
        if len(conditions) > MAX_PATTERNS:
            return (
                f"a rule has at most {MAX_PATTERNS} patterns, all of which must fit; else write a line for each pattern"
            )
        patterns = []
        for condition in conditions:
            pattern = _read_pattern(condition)
            if isinstance(pattern, str):
                return pattern
            patterns.append(pattern)
        if len(self.rules) >= MAX_RULES:
            return f"a file has at most {MAX_RULES} rules"
        text = " ".join(f'"{condition}"' if " " in condition else condition for condition in conditions)
        self.rules.append(OwnerRule(number, text, tuple(patterns), tuple(dict.fromkeys(owners)), self._project))
        return ""


def _unquote(token: str) -> str:
    return re.sub(r'\\(.)|"', lambda match: match[1] or "", token)


def _read_pattern(condition: str) -> Pattern | str:
    """The pattern of a condition, or what is wrong with it. Without a kind it is a route."""
    kind, colon, text = condition.partition(":")
    if is_path(condition):
        kind, text = "route", condition
    elif not colon or kind not in KINDS:
        return (
            f"{condition[:40]!r} is no pattern: a pattern is a route like /checkout/, or has its kind before it "
            f"({', '.join(f'{name}:' for name in KINDS)}); paths of source files are not known here"
        )
    pattern = Pattern(cast(Kind, kind), text)
    return pattern.find_problem() or pattern


def _find_shadowed_rules(rules: list[OwnerRule]) -> list[Problem]:
    """The rules that decide nothing, because an earlier one fits wherever they do: files for CODEOWNERS have them."""
    problems = []
    for place, rule in enumerate(rules):
        samples = make_sample_places(rule.patterns)
        samples = [sample._replace(app=rule.project) if rule.project else sample for sample in samples]
        cover = next((e for e in rules[:place] if all(e.fits(sample) for sample in samples)), None)
        if cover is not None and (cover.owners != rule.owners):
            problems.append(
                Problem(
                    rule.line,
                    f"{rule.text} decides nothing: line {cover.line} ({cover.text}) fits first. Here the FIRST rule that fits "
                    "decides; in GitHub's CODEOWNERS, the last one does. Put general rules at the end",
                )
            )
    return problems


def load_owners(path: Path) -> OwnerRules:
    """The rules of a file. Raises PermanentError when it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PermanentError(f"the file of owners {path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise PermanentError(f"the file of owners {path} is larger than {MAX_BYTES >> 20} MiB")
    return parse_owners(content.decode("utf-8", errors="replace"))


_UNREAD: Final = OwnerRules(is_known=False)


@dataclass
class _Read:
    """What was read last, and of which state of the file."""

    rules: OwnerRules = _UNREAD
    stamp: tuple[int, int, int] | None = None


class OwnersFile:
    """The rules of one file, read again when it changed. Thread-safe. Without a path there are no rules."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = Lock()
        self._read = _Read()

    def read_rules(self) -> OwnerRules:
        """The rules now. While the file cannot be read, those of the last time, with the reason as a problem."""
        path = self._path
        if path is None:
            return NO_OWNERS
        with self._lock:
            try:
                stamp = _stamp(path)
                if stamp != self._read.stamp:
                    self._read = _Read(load_owners(path), stamp)
                    self._report_problems()
            except (OSError, PermanentError) as error:
                count_degraded("owners", "unreadable_file")
                known = self._read.rules
                problem = Problem(0, str(error) if isinstance(error, PermanentError) else _describe(path, error))
                if self._read.stamp is not None or problem not in known.problems:
                    _log.warning("%s; the rules that were read last hold", problem)
                kept = tuple(found for found in known.problems if found.line)
                self._read = _Read(OwnerRules(known.rules, known.accounts, (problem, *kept), known.is_known))
            return self._read.rules

    def _report_problems(self) -> None:
        for problem in self._read.rules.problems:
            count_degraded("owners", "bad_line")
            _log.warning("%s, %s; the other lines hold", self._path, problem)


def _stamp(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _describe(path: Path, error: OSError) -> str:
    return f"the file of owners {path} cannot be read: {error.strerror or error}"


@lru_cache(maxsize=8)
def open_owners_file(path: Path | None) -> OwnersFile:
    """The one reader of a file in this process."""
    return OwnersFile(path)


def read_configured_rules() -> OwnerRules:
    """The rules of the setting FURROW_OWNERS_FILE."""
    return open_owners_file(Settings().owners_file).read_rules()
