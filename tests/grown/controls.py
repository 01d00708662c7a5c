"""The controls of the two applications: the chain of elements, the label and the address of each.

``controls.json`` holds the chains in a small CSS form. The recorded ones carry the chain that the recordings
show. The others follow the templates of the two applications (they are public), as no recording touches them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.grown.naming import Node, parse_chain


@dataclass(frozen=True)
class Control:
    """One control: its key, its chain of elements, its label and the address of a link."""

    key: str
    chain: tuple[Node, ...]
    label: str = ""
    href: str = ""


@cache
def read_controls() -> dict[str, dict[str, tuple[str, str]]]:
    """Read the chains and labels of all controls."""
    text = Path(__file__).with_name("controls.json").read_text(encoding="utf-8")
    return {app: {key: (pair[0], pair[1]) for key, pair in known.items()} for app, known in json.loads(text).items()}


@cache
def find_control(app: str, key: str) -> Control:
    """Return a control of an application."""
    chain, label = read_controls()[app][key]
    return Control(key, parse_chain(chain), label)


def place_control(base: Control, place: int, label: str, href: str) -> Control:
    """Return a control of a list (a category, a product, a row) at another place."""
    chain = list(base.chain)
    for index in range(len(chain) - 1, -1, -1):
        node = chain[index]
        if node.tag == "li" or "lsf-table__row-wrapper" in node.classes:
            chain[index] = Node(node.tag, node.ident, node.classes, place, node.attrs)
            break
    return Control(base.key, tuple(chain), label, href)
