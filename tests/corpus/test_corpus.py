"""The corpus is what its README says: complete, deterministic, and labelled only with what its events can show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.peers import CASE_IDS, NOT_OURS, PLAYED
from tests.corpus.player import KINDS, VOCABULARIES
from tests.corpus.sites import ROLES, SITES
from tests.corpus.write import sessions, write

CONTRACT = {
    *("click", "input", "input_focus", "input_blur", "scroll", "hover", "form_submit", "navigation", "route_change"),
    *("error", "unhandled_rejection", "network", "network_error", "network_success", "performance", "slow_response"),
    *("long_task", "loading", "visibility", "session_end"),
}


def test_every_peer_case_is_played_or_explained() -> None:
    assert len(CASE_IDS) == 175
    assert set(PLAYED) | set(NOT_OURS) == set(CASE_IDS)
    assert not set(PLAYED) & set(NOT_OURS)
    assert {name for names in PLAYED.values() for name in names} <= set(KINDS)


def test_enough_kinds_sites_and_vocabularies() -> None:
    assert sum(k.frustrated for k in KINDS.values()) >= 24
    assert sum(not k.frustrated for k in KINDS.values()) >= 66
    assert len(SITES) >= 6
    assert len(VOCABULARIES) >= 3
    assert all(set(site.actions) == set(ROLES) for site in SITES)


@pytest.mark.parametrize("seeds", [3])
def test_sessions_keep_the_contract_and_labels_what_events_show(seeds: int) -> None:
    for label, lines in sessions(KINDS, seeds):
        events = [event for _, event in lines]
        assert events
        assert {event["eventType"] for event in events} <= CONTRACT
        assert label["kind"] not in json.dumps(events[0]["sessionId"])
        _check_point(label, events)


def _check_point(label: dict[str, Any], events: list[dict[str, Any]]) -> None:
    if not label["frustrated"]:
        return
    there = [event for event in events if event["route"] == label["route"]]
    assert there, label
    names = [
        str(value) for event in there for value in event.get("target", {}).values() if event["eventType"] == "click"
    ]
    assert any(label["target"] in name for name in names) or not label["target"], label


def test_a_seed_is_a_session_byte_for_byte(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder, 1, ["pay_500_retried", "quantity_stepper"])
    for name in ("events.jsonl", "labels.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_two_seeds_of_a_kind_differ() -> None:
    played = [json.dumps([event for _, event in lines]) for _, lines in sessions(["pay_500_retried"], 6)]
    assert len(set(played)) == len(played) == 12
    assert len({label["route"] for label, _ in sessions(["pay_500_retried"], 6)}) >= 5
