"""Names of people as trackers tell them."""

import pytest

from trackers.people import to_person_name


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Ann Lee", "Ann Lee"),
        ("  Ann\u202e\n\x1b[31m <b>Lee</b>\u200b ", "Ann [31m <b>Lee</b>"),
        ("ann.lee@example.test", "[email]"),
        ("Ann <ann.lee@example.test> (QA)", "Ann <[email]> (QA)"),
        ("@ann", "@ann"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_name_is_one_line_without_addresses(told: str | None, kept: str) -> None:
    assert to_person_name(told) == kept


def test_a_long_name_is_cut() -> None:
    assert len(to_person_name("x" * 100_000)) == 80
    assert len(to_person_name("a" * 70 + "@" + "b" * 100_000)) <= 80
