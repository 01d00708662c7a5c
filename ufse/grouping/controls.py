"""Controls as grouping compares them: by an id of the application, else by label and place."""

import re
from typing import Final

from ufse.generated import UUID, find_own_id, strip_class_hash
from ufse.grouping.labels import fold_label
from ufse.grouping.texts import is_opaque
from ufse.grouping.vocabulary import load_vocabulary
from ufse.patterns import ID, clean_text
from ufse.selectors import Selector, read_selector

_VOCABULARY = load_vocabulary()
_LONGEST: Final = 1_024
_GENERATED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:el-id-\d+-\d+|pv_id_\d+|pr_id_\d+(?:_\w+)?|w-node-[\w-]+|phx-F[\w-]{6,}|mantine-[a-z0-9]{9}"
    r"|react-aria-?\d+(?:-[\w:«»]+)?|rc_select_\d+|fui-[a-z]+-?r[0-9a-z]+|ui-id-\d+|bits-[0-9a-z]+|mui-p-\d+|radix-\d+|mce_\d+"
    r"|tippy-\d+|lightning-\d+|elementor-element-[0-9a-f]{6,}|shopify-section-template--\d+__\w+|melt-[\w-]{8,}|k-[0-9a-f]{8}[\w-]*)(?![A-Za-z0-9])",
    re.I,
)
"""Ids beyond ``ufse.generated``: of Element Plus, PrimeVue, Webflow, Phoenix, Mantine, React Aria, antd, Fluent UI."""
_RENDERED: Final = re.compile(r":[rR][0-9a-zA-Z]{0,12}:|«[rR][0-9a-zA-Z]*»|(?<![A-Za-z0-9])_[rR]_[0-9a-zA-Z]+_")
_DRUPAL: Final = re.compile(r"--(?:\d+|[\w-]{11})$")
"""What Drupal's ``Html::getUniqueId`` adds: a counter, and a random text of 8 bytes in Base64 after AJAX."""
_WICKET: Final = re.compile(r"(?P<name>[a-z][A-Za-z]*?)(?P<count>\d[0-9a-f]{0,3}|[0-9a-f]{0,2}\d[0-9a-f]{0,2})", re.A)
"""What Wicket's ``Session.nextSequenceValue`` adds in hexadecimal digits to the name of a component."""
_SELECT2: Final = re.compile(r"^(?P<name>select2-[\w-]+?)-[a-z0-9]{2}(?=-(?:container|results?|search)|$)")
_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_TOKEN: Final = re.compile(r"[^\W_]+|[\W_]+")
_XPATH: Final = re.compile(r"@id\s*=\s*[\"'](?P<id>[^\"']*)[\"']")
_PLACE: Final = re.compile(r":(?:nth-[\w-]+\([^)]*\)|(?:first|last|only)-(?:child|of-type))|\[\d+\]")
_ATOMIC: Final = re.compile(
    r"x[a-z0-9]{5,7}|_[a-z0-9]{5,9}|s-[A-Za-z0-9_-]{8,}|astro-[A-Za-z0-9]{6,}|css-var-\w+|css-dev-only-[\w-]+"
)
"""Classes of StyleX, vanilla-extract, Qwik and Svelte, Astro and antd that name nothing."""


def group_control(part: str, identity: str, selector: str, label: str) -> str:
    """The control for the fingerprint. ``part``: "field", "form" or "control", which never are the same; texts as sent.

    A test id or an id of the application decides; where an id holds generated parts, the label decides beside the rest. Without
    an id it is the label and the nearest id around; without a label, the selector without positions in lists.
    """
    shown = fold_label(clean_text(label)) if label else ""
    read, path = _read_path(clean_text(selector)[:_LONGEST])
    own, whole = _fold_id(read.own_id if _is_test_id(read) else clean_text(identity))
    if not own and read.own_id:
        own, whole = _fold_id(read.own_id)
    if own:
        return f"{part}#{own}" if whole or not shown or _has_verb(own) else f"{part}#{own}|{shown}"
    anchor, last = _read_anchor(read, path)
    if anchor and "[type=" in last.replace('"', "").lower():
        return f"{part}@{anchor}|{_plain(last)}"
    if shown:
        named = _find_verb_class(last)
        return f"{part}@{anchor}|.{named}" if named else f"{part}@{anchor}|{shown}"
    return f"{part}@{anchor}|{path}" if path else part


def _is_test_id(read: Selector) -> bool:
    return bool(read.own_id) and "[data-" in read.text.lower()


def _fold_id(identity: str) -> tuple[str, bool]:
    """(The id without generated parts and record ids, '' if nothing is left; whether nothing was taken away)."""
    if not identity or len(identity) > _LONGEST:
        return identity[:_LONGEST], True
    text = _DRUPAL.sub("", identity) if identity.startswith(("edit-", "views-", "block-")) else identity
    text = _RENDERED.sub(ID, _GENERATED.sub(ID, _SELECT2.sub(r"\g<name>", text)))
    text = find_own_id(UUID.sub(ID, text))
    if not text:
        return "", False
    wicket = _WICKET.fullmatch(text)
    if wicket and not text.isalpha():
        name = "" if wicket["name"] in ("id", "i") else wicket["name"]
        return (name + ID, False) if name else ("", False)
    tokens = _TOKEN.findall(text.replace(ID, "\x00"))
    listed = [n > 1 and tokens[n - 2].casefold() in _VOCABULARY.things for n in range(len(tokens))]
    folded = "".join(
        _fold_id_token(token, n + 1 == len(tokens) and not listed[n]) for n, token in enumerate(tokens)
    ).replace("\x00", ID)
    own = folded.casefold()
    words = [w for w in _WORD.findall(own.replace(ID, " ")) if len(w) > 1]
    return (own, own == identity.casefold()) if words else ("", False)


def _fold_id_token(token: str, is_last: bool) -> str:
    if not any(c.isdigit() for c in token):
        return ID if len(token) >= 8 and is_opaque(token) else token
    if token.isdigit() or is_opaque(token):
        return token if is_last and len(token) == 1 else ID
    stem = token.rstrip("0123456789")
    return stem + ID if stem.isalpha() and len(token) - len(stem) >= 2 else token


def _has_verb(own: str) -> bool:
    """Whether an id says what the control does: ``row-:id-delete``."""
    words = [w.lower() for w in _WORD.findall(own.removeprefix("edit-").replace(ID, " "))]
    return any(w in _VOCABULARY.verbs and w not in _VOCABULARY.things for w in words)


def _read_path(selector: str) -> tuple[Selector, str]:
    """The selector as read, and as compared without a label: from the last id on; positions stay in columns and at the end."""
    if selector.startswith(("/", "(")):
        selector = _convert_xpath(selector)
    read = read_selector(selector)
    steps = read.text.split(" ")
    kept = []
    for number, step in enumerate(steps):
        is_end = number + 1 == len(steps)
        is_column = re.match(r"t[dh]\b", step) is not None
        kept.append(step if is_end or is_column else _PLACE.sub("", step))
    while len(kept) > 1 and kept[0] in ("html", "body", "div", ">"):
        kept.pop(0)
    return read, _plain(" ".join(kept))


def _plain(path: str) -> str:
    """Small letters, record ids folded, classes that name nothing left out."""
    steps = []
    for step in path.split(" "):
        head, *classes = step.split(".") if "[" not in step else [step]
        named = [c for c in classes if not _ATOMIC.fullmatch(c) and strip_class_hash(c)]
        steps.append(".".join([_fold_step_id(head), *named]))
    return " ".join(steps).casefold()


def _fold_step_id(head: str) -> str:
    tag, mark, identity = head.partition("#")
    return f"{tag}#{_fold_id(identity)[0]}" if mark else head


def _convert_xpath(path: str) -> str:
    """An XPath as a selector: ``//*[@id="orders"]/li[4]/button`` gives ``#orders > li > button``."""
    steps = []
    for step in path.strip("()").split("/"):
        if not step:
            continue
        name = re.match(r"[\w*-]+", step)
        found = _XPATH.search(step)
        place = re.search(r"\[(\d+)\]$", step)
        tag = name[0] if name and name[0] != "*" else ""
        steps.append(f"{tag}#{found['id']}" if found else tag + (f":nth-of-type({place[1]})" if place else ""))
    return " > ".join(step for step in steps if step)


def _read_anchor(read: Selector, path: str) -> tuple[str, str]:
    """(The id of the nearest element around the control that has one of the application, the control's own step)."""
    first, _, _ = path.partition(" ")
    last = read.text.rpartition(" ")[2]
    mark = first.partition("#")[2] if "#" in first and " " in path else ""
    return (mark if mark and any(c.isalpha() for c in mark.replace(ID, "")) else ""), last


def _find_verb_class(last: str) -> str:
    """The class of the control that says what it does, without hash; '' without one."""
    for name in last.partition("[")[0].split(".")[1:]:
        own = strip_class_hash(name)
        words = [w.lower() for w in _WORD.findall(own)]
        if own and any(w in _VOCABULARY.verbs for w in words):
            return own.casefold()
    return ""
