"""The word lists of grouping: ``ufse/data/grouping.toml``, read once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The lists, in small letters; the file says what each holds."""

    labels: Mapping[str, str]
    """What a label means, by the whole label."""
    fillers: frozenset[str]
    verbs: frozenset[str]
    things: frozenset[str]
    units: frozenset[str]
    months: frozenset[str]
    weekdays: frozenset[str]
    names: frozenset[str]
    collections: frozenset[str]
    reserved: frozenset[str]
    shells: frozenset[str]
    languages: frozenset[str]
    ambiguous: frozenset[str]
    presumed: frozenset[str]
    locale_parameters: frozenset[str]


@cache
def load_vocabulary() -> Vocabulary:
    """The lists of the file."""
    data = tomllib.loads((files("ufse") / "data" / "grouping.toml").read_text("utf-8"))
    labels: dict[str, str] = {}
    for meaning, texts in data["labels"].items():
        for text in texts:
            labels.setdefault(text, meaning)
    words = {name: frozenset(text.split()) for name, text in {**data["words"], **data["routes"]}.items()}
    return Vocabulary(labels=labels, **words)
