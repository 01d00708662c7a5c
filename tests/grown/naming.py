"""How each SDK names a control: the same chain of elements, written by different rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

Target = dict[str, str]


@dataclass(frozen=True)
class Node:
    """One element of a chain, from the body down to the control."""

    tag: str
    ident: str = ""
    classes: tuple[str, ...] = ()
    place: int = 1
    attrs: tuple[tuple[str, str], ...] = ()


def parse_node(text: str) -> Node:
    """Read one element of a small CSS form: ``tag#id.class:3[name=value]``."""
    tag = re.match(r"[a-z][a-z0-9]*", text)
    attrs = tuple((key, value) for key, value in re.findall(r"\[([\w-]+)=([^\]]*)\]", text))
    bare = re.sub(r"\[[^\]]*\]", "", text)
    ident = re.search(r"#([\w-]+)", bare)
    place = re.search(r":(\d+)$", bare)
    classes = tuple(re.findall(r"\.([\w&+-]+)", bare))
    name = tag.group(0) if tag else "div"
    return Node(name, ident.group(1) if ident else "", classes, int(place.group(1)) if place else 1, attrs)


def parse_chain(text: str) -> tuple[Node, ...]:
    """Read a chain of elements joined by ``>``."""
    return tuple(parse_node(part.strip()) for part in text.split(" > "))


def kind_of(tag: str) -> str:
    """Name the type of a control by its tag."""
    kinds = {"a": "link", "button": "button", "input": "input", "select": "input", "textarea": "input", "form": "form"}
    return kinds.get(tag, "element")


def from_ident(chain: tuple[Node, ...]) -> tuple[Node, ...]:
    """Cut a chain to what stands below (and with) the nearest element with an id."""
    for index in range(len(chain) - 1, -1, -1):
        if chain[index].ident:
            return chain[index:]
    return chain


def looks_made(name: str) -> bool:
    """Tell whether Datadog takes an id or a class for a generated one: it has a digit."""
    return any(letter.isdigit() for letter in name)


def name_datadog(chain: tuple[Node, ...]) -> str:
    """Write a chain as Datadog does: from a test id or the nearest id that does not look generated."""
    last = len(chain) - 1
    for index in range(last, max(-1, last - 2), -1):
        marks = dict(chain[index].attrs)
        if "data-testid" in marks:
            head = f'{chain[index].tag.upper()}[data-testid="{marks["data-testid"]}"]'
            return ">".join([head, *(datadog_node(node) for node in chain[index + 1 :])])
    for index in range(last, -1, -1):
        ident = chain[index].ident
        if ident and not looks_made(ident):
            return ">".join([f"#{ident}", *(datadog_node(node) for node in chain[index + 1 :])])
    return ">".join(datadog_node(node) for node in chain)


def datadog_node(node: Node) -> str:
    """Write one element as Datadog does: by its first class that does not look generated, else by its place."""
    names = [name for name in node.classes if not looks_made(name)]
    if node.tag == "li" or (node.place > 1 and names[:1] == ["form-group"]):
        return f"{node.tag.upper()}:nth-of-type({node.place})"
    if names:
        return f"{node.tag.upper()}.{names[0]}"
    return node.tag.upper() + (f":nth-of-type({node.place})" if node.place > 1 else "")


def name_sentry(chain: tuple[Node, ...], limit: int) -> str:
    """Write a chain as Sentry does: up to five elements and a limit of characters."""
    parts: list[str] = []
    for node in reversed(chain[-5:]):
        text = node.tag + (f"#{node.ident}" if node.ident else "") + "".join(f".{name}" for name in node.classes)
        known = ("type", "name", "title", "alt", "aria-label")
        text += "".join(f'[{key}="{value}"]' for key, value in node.attrs if key in known)
        if parts and sum(map(len, parts)) + len(text) > limit:
            break
        parts.append(text)
    return " > ".join(reversed(parts))


def name_xpath(chain: tuple[Node, ...]) -> str:
    """Write a chain as an XPath, as OpenTelemetry does."""
    cut = from_ident(chain)
    steps = [node.tag + (f"[{node.place}]" if node.place > 1 else "") for node in cut]
    if cut[0].ident:
        return "/".join([f'//*[@id="{cut[0].ident}"]', *steps[1:]])
    return "//html/" + "/".join(steps)


def name_posthog(chain: tuple[Node, ...]) -> str:
    """Write the last three elements of a chain, classes sorted, as our PostHog adapter does."""
    parts = []
    for node in chain[-3:]:
        text = node.tag + "".join(f".{name}" for name in sorted(node.classes))
        parts.append(text + (f":nth-of-type({node.place})" if node.place > 1 else ""))
    return " > ".join(parts)


def name_amplitude(chain: tuple[Node, ...]) -> str:
    """Write a chain as Amplitude's element path."""
    cut = from_ident(chain)
    parts = []
    for index, node in enumerate(cut):
        text = node.tag + (f"#{node.ident}" if node.ident and index == 0 else "")
        parts.append(text + (f":nth-child({node.place})" if node.place > 1 and index else ""))
    return " > ".join(parts)


def name_mixpanel(chain: tuple[Node, ...]) -> str:
    """Write the last four elements of a chain, as our Mixpanel adapter does."""
    parts = []
    for node in chain[-4:]:
        if node.ident:
            parts.append(f"{node.tag}#{node.ident}")
            continue
        text = node.tag + "".join(f".{name}" for name in node.classes)
        parts.append(text + (f":nth-of-type({node.place})" if node.place > 1 else ""))
    return " > ".join(parts)


def find_actionable(chain: tuple[Node, ...]) -> Node | None:
    """Return the link or button that a click on the last element of a chain belongs to."""
    for node in reversed(chain):
        if node.tag in ("a", "button"):
            return node
    return None


def name_snowplow(chain: tuple[Node, ...], label: str, href: str) -> Target | None:
    """Name a control as Snowplow does: only links (by address) and buttons (by label)."""
    node = find_actionable(chain)
    if node is None:
        return None
    if node.tag == "a":
        return {"type": "link", "id": node.ident, "tagName": "a", "selector": f'a[href="{href or "/"}"]'}
    selector = "button" + "".join(f".{name}" for name in node.classes)
    return {"type": "button", "id": node.ident, "tagName": "button", "label": label, "selector": selector}


def name_track(chain: tuple[Node, ...], label: str) -> Target | None:
    """Name a control as the delegated listener of Segment and RudderStack does."""
    node = find_actionable(chain)
    if node is None:
        return None
    return {"type": kind_of(node.tag), "id": node.ident, "tagName": node.tag, "label": label}


def own_selector(node: Node) -> str:
    """Name one element by its tag and classes."""
    return node.tag + "".join(f".{name}" for name in node.classes)


def name_target(sdk: str, chain: tuple[Node, ...], label: str, href: str = "") -> Target | None:
    """Name a control in the way of an SDK; None if the SDK does not report clicks on it."""
    leaf = chain[-1]
    base = {"type": kind_of(leaf.tag), "tagName": leaf.tag}
    if sdk in ("segment", "rudderstack"):
        return name_track(chain, label)
    if sdk == "snowplow":
        return name_snowplow(chain, label, href)
    if sdk == "elastic":
        return {"type": (find_actionable(chain) or leaf).tag}
    if sdk == "datadog":
        own = "" if looks_made(leaf.ident) else leaf.ident
        return base | {"id": own, "selector": name_datadog(chain), "label": label}
    if sdk == "sentry":
        return base | {"id": leaf.ident, "selector": name_sentry(chain, 160)}
    if sdk == "sentry-inp":
        return base | {"id": leaf.ident, "selector": name_sentry(chain, 80)}
    if sdk == "otel":
        return base | {"selector": name_xpath(chain)}
    if sdk == "posthog":
        return base | {"id": leaf.ident, "selector": name_posthog(chain), "label": label}
    if sdk == "amplitude":
        return base | {"id": leaf.ident, "selector": name_amplitude(chain), "label": label}
    if sdk == "mixpanel":
        return base | {"id": leaf.ident, "selector": name_mixpanel(chain)}
    if sdk == "rrweb":
        shown = label if leaf.tag in ("a", "button") else ""
        return base | {"id": leaf.ident, "selector": own_selector(leaf), "label": shown}
    return None
