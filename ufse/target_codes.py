"""The targets of events as codes: one code per control of a visit, and which controls a project ignores."""

from fnmatch import fnmatchcase

import numpy as np

from ufse.arrays import Bools, Ints, Small, equals_any, min_by_owner
from ufse.config import Config
from ufse.controls import Hits, unify_controls
from ufse.event_columns import EventColumns, encode_text_tuples
from ufse.sessions import CLICK, ERROR, INPUT, NAVIGATION, SUBMIT
from ufse.targets import NO_TARGET, Target, describe_target

PAGE = 0
"""Code of the target of an action that is a page being opened or reloaded."""


_TARGET_KINDS = (CLICK, INPUT, SUBMIT, NAVIGATION, ERROR)
"""Kinds of events whose target is read."""


def encode_targets(
    source: EventColumns, kind: Small, visit: Small, route: Ints, config: Config
) -> tuple[Ints, Ints, list[Target], Bools]:
    """(Code of the control per event, code of the target per event, targets by code, whether ignored per event).

    A control is one thing that can be hit; a target is a kind of control, the same in all sessions (ids of records are
    replaced). One name is one target in a visit, even if its label changes ("Pay", "Paying…"): the first label of the visit
    counts. Parts of a control (an icon) have the control's codes (``ufse.controls``).
    """
    at = np.flatnonzero(equals_any(kind, *_TARGET_KINDS))
    part, tuples = encode_text_tuples(
        source, at, ("target_type", "target_id", "target_selector", "target_tag", "target_label")
    )
    sent = np.full(len(kind), len(tuples), dtype=np.int64)
    sent[at] = part
    tuples.append(("", "", "", "", ""))
    found = [describe_target(*t) for t in tuples]
    targets = [NO_TARGET, *sorted({d.target for d in found if d.target.name}, key=_target_sort_key)]
    place = {t: i for i, t in enumerate(targets)}
    lut = np.array([place[d.target] if d.target.name else PAGE for d in found], dtype=np.int64)
    ignored = np.array([_is_ignored_target(d.target, t, config) for d, t in zip(found, tuples, strict=True)])
    clicks = np.flatnonzero(kind == CLICK)
    control, target = unify_controls(Hits(source, visit, route, sent, clicks), found, lut[sent])
    return control, _unify_same_names(target, visit, targets), targets, ignored[sent]


def _target_sort_key(target: Target) -> tuple[str, ...]:
    return target.name, target.label, repr(target)


def _unify_same_names(target: Ints, visit: Small, targets: list[Target]) -> Ints:
    """``target`` (code per event), where targets of one name in a visit become the first of them. Targets are ordered by
    name.
    """
    number = {name: i for i, name in enumerate(dict.fromkeys(t.name for t in targets))}
    name = np.array([number[t.name] for t in targets], dtype=np.int64)
    rows = np.flatnonzero((np.bincount(name)[name] > 1)[target])
    if not len(rows):
        return target
    _, key = np.unique(visit[rows] * len(number) + name[target[rows]], return_inverse=True)
    first = min_by_owner(key, target[rows], int(key.max()) + 1, len(targets))
    target = target.copy()
    target[rows] = first[key]
    return target


def _is_ignored_target(target: Target, texts: tuple[str, ...], config: Config) -> bool:
    names = (target.name, *texts[1:3], texts[4])
    return any(n and fnmatchcase(n, p) for p in config.ignored_targets for n in names)
