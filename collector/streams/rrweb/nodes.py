"""A light map of a recorded page: for each node its place in the tree, and of controls what names them; nothing else is kept.

Privacy: values of fields are not decoded; text is kept only below buttons, links and the like, and cut.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from collector.streams.controls import Control, Element, find_control
from collector.streams.lenient import read_text
from collector.streams.rrweb import wire

_MAX_NODES: Final = 200_000
_MAX_DEPTH: Final = 60
_MAX_TEXT: Final = 80
_TEXT_NODE: Final = 3
_NAMED_TAGS: Final = frozenset({"a", "button", "summary", "label"})
_NAMED_ROLES: Final = frozenset({"button", "link", "tab", "menuitem", "checkbox", "radio", "switch", "option"})


class Attributes(msgspec.Struct, gc=False, omit_defaults=True):
    """What names or describes a control; never its value."""

    id: object = None
    name: object = None
    role: object = None
    type: object = None
    disabled: object = None
    test_id: object = msgspec.field(name="data-testid", default=None)
    aria_label: object = msgspec.field(name="aria-label", default=None)
    aria_disabled: object = msgspec.field(name="aria-disabled", default=None)


class Node(msgspec.Struct):
    """A node of a snapshot with those below it."""

    id: int = -1
    type: int = -1
    tag: str = msgspec.field(name="tagName", default="")
    attributes: msgspec.Raw = msgspec.Raw(b"null")
    text: str = msgspec.field(name="textContent", default="")
    children: list["Node"] = msgspec.field(name="childNodes", default_factory=list)


class _Snapshot(msgspec.Struct):
    node: Node


class _Added(msgspec.Struct):
    node: Node
    parent: int = msgspec.field(name="parentId", default=-1)


class _Changed(msgspec.Struct, gc=False):
    id: int = -1
    attributes: msgspec.Raw = msgspec.Raw(b"null")


class _Mutation(msgspec.Struct):
    adds: list[msgspec.Raw] = []
    attributes: list[msgspec.Raw] = []


class _Switch(msgspec.Struct, gc=False):
    """``disabled`` of a changed node: absent (unchanged), null (taken away) or set."""

    disabled: object = msgspec.UNSET


_SNAPSHOT: Final = msgspec.json.Decoder(_Snapshot)
_ADDED: Final = msgspec.json.Decoder(_Added)
_CHANGED: Final = msgspec.json.Decoder(_Changed)
_MUTATION: Final = msgspec.json.Decoder(_Mutation)
_ATTRIBUTES: Final = msgspec.json.Decoder(Attributes)
_SWITCH: Final = msgspec.json.Decoder(_Switch)


class NodeMap:
    """The page as far as the events read so far show it."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._tags: dict[int, tuple[str, msgspec.Raw]] = {}
        self._texts: dict[int, list[str]] = {}
        self._switches: dict[int, object] = {}
        self.title = ""
        """Title of the document in the last full snapshot; for error pages alone, it is no name of a control."""

    def read_event(self, head: wire.Head) -> None:
        """Takes in a full snapshot or a mutation; other events change nothing."""
        if head.type in (wire.FULL_SNAPSHOT, wire.META):
            for known in (self._parents, self._tags, self._texts, self._switches):
                known.clear()  # numbers of the page before mean other nodes now, even if this snapshot is unreadable
            self.title = ""
            snapshot = wire.read_shape(_SNAPSHOT, head.data)
            if head.type == wire.FULL_SNAPSHOT and snapshot is not None:
                self._add(snapshot.node, -1)
        elif wire.read_source(head) == wire.MUTATION:
            mutation = wire.read_shape(_MUTATION, head.data)
            for raw in mutation.adds if mutation is not None else ():
                added = wire.read_shape(_ADDED, raw)
                if added is not None:
                    self._add(added.node, added.parent)
            for raw in mutation.attributes if mutation is not None else ():
                self._switch(wire.read_shape(_CHANGED, raw))

    def _switch(self, changed: _Changed | None) -> None:
        switch = wire.read_shape(_SWITCH, changed.attributes) if changed is not None else None
        if changed is None or switch is None or switch.disabled is msgspec.UNSET or changed.id not in self._tags:
            return
        self._switches[changed.id] = switch.disabled

    def _add(self, root: Node, parent: int) -> None:
        stack = [(root, parent)]
        while stack and len(self._parents) < _MAX_NODES:
            node, above = stack.pop()
            self._parents[node.id] = above
            if node.type == _TEXT_NODE and self._tags.get(above, ("",))[0] == "title":
                self.title = self.title or read_text(node.text, _MAX_TEXT)
            elif node.type == _TEXT_NODE:
                self._name_control(above, node.text)
            elif node.tag:
                self._tags[node.id] = (read_text(node.tag, 32).lower(), msgspec.Raw(bytes(node.attributes)))
            stack.extend((child, node.id) for child in reversed(node.children))

    def _name_control(self, place: int, text: str) -> None:
        """Gives a text to the button, link or the like that it is in."""
        for number in self._climb(place):
            tag, raw = self._tags.get(number, ("", msgspec.Raw(b"null")))
            attributes = wire.read_shape(_ATTRIBUTES, raw) if tag not in _NAMED_TAGS else None
            if tag in _NAMED_TAGS or (attributes is not None and attributes.role in _NAMED_ROLES):
                self._texts.setdefault(number, []).append(text[:_MAX_TEXT])
                return

    def _climb(self, number: int) -> Iterator[int]:
        for _ in range(_MAX_DEPTH):
            if number not in self._parents:
                return
            yield number
            number = self._parents[number]

    def find_control(self, number: int) -> Control | None:
        """The control at or around a node; None for a node that is not known."""
        elements = [self._make_element(inner) for inner in self._climb(number) if inner in self._tags]
        return find_control(elements)

    def _make_element(self, number: int) -> Element:
        tag, raw = self._tags[number]
        held = wire.read_shape(_ATTRIBUTES, raw) or Attributes()
        known = {
            "id": held.id,
            "data-testid": held.test_id,
            "name": held.name,
            "role": held.role,
            "type": held.type,
            "aria-label": held.aria_label,
            "aria-disabled": held.aria_disabled,
            "disabled": self._switches.get(number, held.disabled),
        }
        text = " ".join(" ".join(self._texts.get(number, ())).split())[:_MAX_TEXT]
        return Element(tag, known, "" if "**" in text else text)
