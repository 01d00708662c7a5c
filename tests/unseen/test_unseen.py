"""The corpus is what it claims to be; whether the engine is right about it is measured, not asserted."""

from collections import Counter
from pathlib import Path

import pytest

from collector.contract import read_events
from tests.unseen import frustrated, harmless
from tests.unseen.write import corpus, write


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unseen")
    write(out, seeds=1)
    return out


def test_every_line_keeps_the_event_contract(written: Path) -> None:
    table, rejects = read_events(written / "events.jsonl")
    assert rejects == []
    assert table.num_rows == len((written / "events.jsonl").read_text(encoding="utf-8").splitlines())


def test_the_same_seeds_write_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write(tmp_path, seeds=1)
    for name in ("events.jsonl", "labels.jsonl"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()
    assert corpus(2)[0][:50] != corpus(1)[0][:50]


def test_every_label_has_its_session_and_every_session_its_label() -> None:
    events, labels = corpus(1)
    seen = Counter(event["sessionId"] for event in events)
    assert set(seen) == {label["sessionId"] for label in labels}
    assert len(seen) == len(labels)
    assert min(seen.values()) >= 3
    kinds = {label["kind"]: label["frustrated"] for label in labels}
    assert kinds == dict.fromkeys(frustrated.STORIES, True) | dict.fromkeys(harmless.STORIES, False)
    assert not [label for label in labels if label["frustrated"] and not _happened(label, events)]


def _happened(label: dict[str, object], events: list[dict[str, object]]) -> bool:
    """Whether the failure point of a label was sent in its session: an act on that target on that route."""
    acts = [event for event in events if event["sessionId"] == label["sessionId"] and event["route"] == label["route"]]
    names = [str(event.get("target", "")) for event in acts if event["eventType"] in ("click", "form_submit")]
    return any(str(label["target"]) in name for name in names)
