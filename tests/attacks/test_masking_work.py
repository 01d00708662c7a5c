"""Masking costs a small constant for each byte, whatever strangers write: counted, not timed.

A pattern with quadratic backtracking would need hours for a text of a megabyte; it is run in a process of its own with a
bound on its processor time, which only such a pattern reaches.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from collector.contract import decode_body, normalise_batch
from collector.privacy import (
    mask_metadata,
    mask_name,
    mask_path,
    mask_source,
    mask_text,
    numbers,
    patterns,
    plain,
    scan,
    segments,
    texts,
    values,
)
from collector.privacy.cache import CACHE_BYTES, Cache

NOW = 1_705_312_800_000
UNITS = [
    *(
        "a",
        "a.",
        "/",
        "@",
        "1 ",
        "11-",
        "411 ",
        "1",
        "%40",
        "%25",
        "Bearer ",
        "eyJ",
        "a@",
        "x@a.",
        "://",
        "//a:b@",
        "?",
        "a-1",
        "é",
    ),
    *(
        "\u200b",
        "\u0301",
        "\u0316\u0301",
        "&#64;",
        "&",
        "\\u0040",
        "password=",
        'pwd="',
        "pwd='",
        'pwd=\\"',
        "token: ",
        "secret:",
        "DE89 ",
    ),
    *(
        "DE89",
        "a:",
        ":",
        "::",
        "1.",
        "1.1.1.1",
        "+1 ",
        "+",
        "(555) ",
        "555-",
        "0170 ",
        "123-45-",
        "[value=",
        '[value="',
        "value='",
        "Basic a",
    ),
    *(
        "basic+",
        "digest a=",
        "cookie: a=b; ",
        "-----BEGIN A-----",
        "/reset/",
        "/reset/a1b2c3",
        "a/",
        "{",
        "[",
        '"',
        "'",
        "<",
        "aB3dE9",
        "AKIA",
    ),
    *(
        "sk_live_",
        "xoxb-",
        "T0000000/B0000000/",
        "-u a:",
        "--password ",
        "(at)",
        "a(at)a(dot)",
        "٤",
        "４",
        "％40",
        "%u0040",
        "00 ",
        "-",
        "_",
    ),
]
MODULES = (patterns, plain, scan, segments, numbers, texts, values)


def all_patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield f"{module.__name__}.{name}", value


class Counting:
    """A pattern that counts the characters it is given."""

    seen = 0

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._pattern, name)
        if name not in ("search", "match", "fullmatch", "sub", "findall", "finditer", "split"):
            return method

        def counted(*given: Any, **more: Any) -> Any:
            text = given[1] if name == "sub" else given[0]
            end = given[2] - given[1] if name != "sub" and len(given) == 3 else len(text)
            Counting.seen += end
            return method(*given, **more)

        return counted


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        for name, value in list(vars(module).items()):
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                monkeypatch.setattr(module, name, Counting(value))


def work_of(events: list[dict[str, Any]]) -> tuple[int, int]:
    """Characters given to patterns, and calls of Python functions, for one batch."""
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    batch = decode_body(json.dumps({"events": events}).encode())
    Counting.seen = 0
    sys.setprofile(count)
    try:
        normalise_batch(batch, project="p", received_ms=NOW + 10**6, salt=b"salt")
    finally:
        sys.setprofile(None)
    return Counting.seen, calls


FIELDS: list[dict[str, Any]] = [
    *(
        {name: "{}"}
        for name in (
            "route",
            "sessionId",
            "userId",
            "idempotencyKey",
            "appVersion",
            "environment",
            "sdkVersion",
            "userAgent",
        )
    ),
    *({name: "{}"} for name in ("eventType", "timestamp", "seq", "unknown")),
    *({"target": {part: "{}"}} for part in ("type", "id", "selector", "tagName", "label")),
    *({"metadata": {key: "{}"}} for key in ("message", "source", "note", "url")),
    {"metadata": {"{}": 1}},
    {"metadata": {"{}": [1]}},
    {"metadata": {"a": {"x": "{}"}}},
    {"unknown": [["{}"]], "eventType": "bad"},
]


def filled(shape: Any, text: str) -> Any:
    if isinstance(shape, dict):
        return {filled(key, text): filled(value, text) for key, value in shape.items()}
    if isinstance(shape, list):
        return [filled(value, text) for value in shape]
    return text if shape == "{}" else shape


MOST_PER_CHARACTER = 60
"""Patterns that see a character: some twenty, for the text as sent and as it is read, in a column and in the metadata."""
CALLS_PER_CHARACTER = 80
AT_LEAST = 6_000


@pytest.mark.parametrize("shape", FIELDS, ids=lambda shape: json.dumps(shape)[:40])
def test_work_per_character_is_bounded_in_every_field(shape: dict[str, Any], counting: None) -> None:
    base = {"eventType": "error", "timestamp": NOW, "sessionId": "s", "route": "/x"}
    for unit in UNITS:
        for length in (1_500,):
            text = (unit * (length // len(unit) + 1))[:length]
            seen, calls = work_of([{**base, **filled(shape, text)}])
            assert seen <= MOST_PER_CHARACTER * length + AT_LEAST, (unit, length, seen)
            assert calls <= CALLS_PER_CHARACTER * length + AT_LEAST, (unit, length, calls)


def test_an_event_with_many_keys_costs_what_its_bytes_cost(counting: None) -> None:
    base = {"eventType": "error", "timestamp": NOW, "sessionId": "s", "route": "/x"}
    for event in (
        {**base, "metadata": {f"key-{number}": f"bob{number}@example.com" for number in range(250)}},
        {**base, "metadata": {f"key-{number}": number for number in range(5_000)}},
        {**base, "target": {f"key-{number}": "4111 1111" for number in range(5_000)}, "seq": -1},
        {**base, "seq": -1, "deep": json.loads("[" * 400 + "]" * 400)},
        {**base, "seq": -1, "wide": [{"a": ["x@y.zz"]}] * 3_000},
    ):
        size = len(json.dumps(event))
        seen, calls = work_of([event])
        assert seen <= MOST_PER_CHARACTER * size + AT_LEAST
        assert calls <= CALLS_PER_CHARACTER * size + AT_LEAST


@pytest.mark.parametrize(
    "number", ["1e400", "9" * 4_000, "-" + "9" * 4_000, "1" + "0" * 30, "4111111111111111.0", '"\\ud83d"']
)
def test_numbers_and_halves_of_characters_are_one_events_matter(number: str) -> None:
    for field in ("timestamp", "seq", "userId", "unknown", "metadata", "route"):
        value = f'{{"a": {number}}}' if field == "metadata" else number
        good = '"eventType": "error", "timestamp": 1, "sessionId": "s", "route": "/x"'
        body = f'{{"events": [{{{good}}}, {{{good}, "{field}": {value}}}]}}'.encode()
        batch = normalise_batch(decode_body(body), project="p", received_ms=NOW, salt=b"")
        assert len(batch.rows) + len(batch.rejects) == 2
        assert batch.rows
        assert "4111111111111111" not in batch.encode_rows().decode() or field == "seq"


_RUN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (240, 240))
from tests.attacks.test_masking_work import UNITS, all_patterns
for name, pattern in all_patterns():
    for unit in UNITS:
        for text in (unit * (12_000 // len(unit)), "x" + unit * (12_000 // len(unit)) + "\\n"):
            print(name, repr(unit), file=sys.stderr)
            pattern.fullmatch(text)
            sum(1 for _ in pattern.finditer(text))
"""


def test_no_pattern_backtracks_more_than_linearly() -> None:
    assert len(list(all_patterns())) >= 30
    ran = subprocess.run([sys.executable, "-c", _RUN], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr.splitlines()[-1]


def test_masking_a_megabyte_ends() -> None:
    for unit in UNITS:
        text = unit * (150_000 // len(unit))
        for mask in (mask_text, mask_path, mask_source, mask_name):
            assert isinstance(mask(text), str)


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    cache = Cache(str.upper)
    for number in range(200_000):
        assert cache[f"{number:0200}"]
        assert len(cache) * 200 <= CACHE_BYTES
    batch = {"events": [{"eventType": "click", "timestamp": NOW, "sessionId": "s", "route": "/x", "userId": "u" * 513}]}
    (reject,) = normalise_batch(batch, project="p", received_ms=NOW, salt=b"").rejects
    assert (reject.field, reject.reason) == ("userId", "is longer than 512 characters")


def test_a_cut_never_leaves_half_a_secret() -> None:
    for secret in (
        "bob.smith@example.com",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "+49 170 1234567",
        "123-45-6789",
    ):
        for encoded in (secret, secret.replace(" ", "%20").replace("@", "%2540"), secret.replace("1", "１")):
            for before in ("word ", "wordword", "1 ", '"', "/", ","):
                for shift in range(len(encoded) + 2):
                    text = "x " * 100 + before + encoded + " and more words that follow" * 3
                    most = 200 + len(before) + shift
                    shown = mask_text(plain.cut(text, most))
                    for part in (encoded[: max(6, shift)][:-1], secret[:9], secret[4:13]):
                        assert part not in shown or len(part) < 5, (text[:most], shown)


def test_a_long_field_is_cut_and_masked() -> None:
    secret = "bob@example.com"
    for length in range(2_000, 2_060):
        text = "w " * (length // 2) + secret + " x" * 2_000
        row = normalise_batch(
            {
                "events": [
                    {
                        "eventType": "error",
                        "timestamp": NOW,
                        "sessionId": "s",
                        "route": "/x",
                        "target": {"selector": text[1_500:]},
                        "metadata": {"message": text[:6_000]},
                    }
                ]
            },
            project="p",
            received_ms=NOW,
            salt=b"",
        ).rows[0]
        assert "bob" not in row.message
        assert "bob" not in row.target_selector
        assert "bob" not in row.metadata
        assert len(row.message) <= 2_048
        assert len(row.target_selector) <= 512
    assert mask_metadata({"a": secret}) == {"a": "[email]"}
