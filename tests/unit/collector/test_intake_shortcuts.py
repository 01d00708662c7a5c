"""The short ways of the intake give what the long ways give."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from collector.privacy import mask_metadata, mask_small_metadata, scan
from collector.spool.spool import Spool
from collector.transport.hot_requests import IndexedHeaders

_parts = st.sampled_from(
    [
        "eyJ", "sk_live_", "sk-proj-", "xoxb-", "ghp_", "key-", "AKIA", "EAA", "SK", "T0", "npm_", "pin_", "token-", "GB29",
        "NWBK", "DE89", "no93", "4111", "1111", "555-", "078-05-1120", "00-1b-", "ab-cd-", "00", "0171-", "-", "_", "e3f2a9",
        "abcdefghijkl-7", "3b241101-e2bb-4255-8caf-4136c566a962", "CamelCase",
    ]
)  # fmt: skip
_names = st.lists(st.one_of(_parts, _parts, st.from_regex(r"[A-Za-z0-9_\-]{1,8}", fullmatch=True)), min_size=1).map(
    "".join
)


@settings(max_examples=2_000, deadline=None)
@example(name="0a-1b-cd-ef-3a-b7", kind=scan.NAME)
@example(name="NO83ABCDEFGHKLM", kind=scan.ID)
@given(name=_names, kind=st.sampled_from([scan.NAME, scan.VERSION, scan.ID]))
def test_a_plain_name_that_is_not_searched_holds_nothing(name: str, kind: scan.Kind) -> None:
    found = scan.mask_secrets(name, kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_may_plain_name_hold_secret", lambda *_: True)
        assert found == scan.mask_secrets(name, kind)


@pytest.mark.parametrize("name", ["abcdefghijkl-12", "e3f2a91bc04", "3b241101-e2bb-4255-8caf-4136c566a962"])
def test_the_ids_of_browsers_are_not_searched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_apply_patterns", lambda *_: pytest.fail("searched"))
    assert scan.mask_secrets(name, scan.NAME) == name


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([4111111111111111, -4111111111111111, 999_999_999_999, 1_705_312_800_000, 4111111111111111.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["a@b.example", "/reset/Ab3dE9xY7q", "x" * 256, "y" * 257, "4111 1111 1111 1111"]),
)
_keys = st.one_of(
    st.text(max_size=8), st.sampled_from(["password", "url", "from", "source", "x", "orderId", "k" * 257])
)


@settings(max_examples=500, deadline=None)
@given(metadata=st.dictionaries(_keys, st.one_of(_scalars, _scalars, st.just({"x": 1}), st.just([])), max_size=8))
def test_small_metadata_are_masked_as_any(metadata: dict[str, Any]) -> None:
    masked = mask_small_metadata(metadata, 1_000)
    length = sum(64 + len(key) + (len(value) if isinstance(value, str) else 0) for key, value in metadata.items())
    if masked is None:
        texts = [text for text in [*metadata, *metadata.values()] if isinstance(text, str)]
        assert (
            length > 1_000
            or max(map(len, texts), default=0) > 256
            or any(isinstance(value, dict | list) for value in metadata.values())
        )
    else:
        assert length <= 1_000
        assert list(masked.items()) == list(mask_metadata(metadata).items())


def test_indexed_fields_are_read_as_starlettes() -> None:
    fields = [
        (b"host", b"a"),
        (b"x-api-key", b"k\xe9"),
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"x-forwarded-for", b"5.6.7.8"),
    ]
    ours, theirs = IndexedHeaders(fields), Headers(raw=fields)
    for name in ("host", "x-api-key", "x-forwarded-for", "origin"):
        assert ours.get(name) == theirs.get(name)
        assert ours.get(name, "none") == theirs.get(name, "none")
        assert ours.getlist(name) == theirs.getlist(name)
        assert (name in ours) == (name in theirs)
    assert ours["host"] == "a"
    assert ours == theirs
    with pytest.raises(KeyError):
        ours["origin"]
    ours.getlist("origin").append("b")
    assert ours.getlist("origin") == []


def test_requests_of_one_turn_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", seal_seconds=60)
    syncs: list[int] = []
    sync = os.fdatasync

    def count_sync(fd: int) -> None:
        syncs.append(fd)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", count_sync)

    async def append_one(number: int) -> None:
        done = spool.append_on_loop(b'{"n":%d}\n' % number, 1)
        time.sleep(0.002)  # the writer's thread could begin now
        await done

    async def append_all() -> None:
        await asyncio.gather(*(append_one(number) for number in range(50)))

    try:
        asyncio.run(append_all())
    finally:
        spool.close()
    assert len(syncs) == 1
    (segment,) = (tmp_path / "spool").glob("*.jsonl")
    assert segment.read_bytes().count(b"\n") == 50
