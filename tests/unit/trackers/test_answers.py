"""What trackers say, and when they want to be asked again."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from core.errors import PermanentError
from trackers import http_errors

NOW = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "7.5"}, 7.5),
        ({"Retry-After": "Mon, 15 Jan 2024 10:02:00 GMT"}, 120),
        ({"Retry-After": "Mon, 15 Jan 2024 09:00:00 GMT"}, 0),
        ({"Retry-After": "7", "X-RateLimit-Reset": "2024-01-15T10:30Z"}, 7),
        ({"X-RateLimit-Reset": "2024-01-15T10:30Z"}, 1_800),
        ({"X-RateLimit-Requests-Reset": str(NOW_MS + 90_000)}, 90),
        ({"X-RateLimit-Requests-Reset": str(NOW_MS // 1000 + 90)}, 90),
        ({"X-RateLimit-Reset": "30"}, 30),
        ({"X-RateLimit-Reset": "999999999"}, http_errors.LONGEST_WAIT),
        ({"X-RateLimit-Reset": "soon", "Retry-After": "later"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_tracker_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert http_errors.seconds_until_retry(headers, is_limit=True, now=NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Limit": "350", "X-RateLimit-Remaining": "349", "X-RateLimit-Reset": "2024-01-15T10:30Z"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2024-01-15T10:30Z"}, 1_800),
        ({"X-RateLimit-Reset": "2024-01-15T10:30Z"}, None),
        ({"X-RateLimit-Reset": "2024-01-15T10:30Z", "Retry-After": "7"}, 7),
        ({"X-RateLimit-Requests-Remaining": "4999", "X-RateLimit-Requests-Reset": str(NOW_MS + 90_000)}, None),
        ({"X-RateLimit-Requests-Remaining": "0", "X-RateLimit-Requests-Reset": str(NOW_MS + 90_000)}, 90),
        (
            {
                "X-RateLimit-Requests-Remaining": "4999",
                "X-RateLimit-Requests-Reset": str(NOW_MS + 3_600_000),
                "X-RateLimit-Complexity-Remaining": "0",
                "X-RateLimit-Complexity-Reset": str(NOW_MS + 45_000),
            },
            45,
        ),
        ({}, None),
    ],
)
def test_a_time_of_renewal_alone_is_no_wait_after_other_answers(headers: dict[str, str], seconds: float | None) -> None:
    assert http_errors.seconds_until_retry(headers, is_limit=False, now=NOW) == seconds


def test_of_several_limits_the_exhausted_one_counts() -> None:
    limits = {
        "X-RateLimit-Requests-Reset": str(NOW_MS + 10_000),
        "X-RateLimit-Requests-Remaining": "12",
        "X-RateLimit-Complexity-Reset": str(NOW_MS + 60_000),
        "X-RateLimit-Complexity-Remaining": "0",
    }
    assert http_errors.seconds_until_retry(limits, is_limit=True, now=NOW) == 60
    limits["X-RateLimit-Complexity-Remaining"] = "5"
    assert http_errors.seconds_until_retry(limits, is_limit=True, now=NOW) == 10


@pytest.mark.parametrize(
    ("status", "transient"),
    [(400, False), (401, False), (403, False), (404, False), (408, True), (409, False), (422, False), (429, True),
     (500, True), (501, False), (502, True), (503, True), (504, True)],
)  # fmt: skip
def test_which_answers_are_worth_another_attempt(status: int, transient: bool) -> None:
    assert http_errors.is_transient_status(status) is transient


def test_words_are_one_bounded_line_without_controls_and_secrets() -> None:
    said = "project:\r\n\x1b[31mvalid\u202e \u2028project\x00 required, token s3cret-s3cret" + " x" * 1_000
    told = http_errors.to_safe_line(said, ["s3cret-s3cret", ""])
    assert told.startswith("project: [31mvalid project required, token *** x x")
    assert http_errors.LONGEST_WORDS - 2 < len(told) <= http_errors.LONGEST_WORDS
    assert told.isprintable()


def test_a_short_secret_does_not_maim_the_words() -> None:
    assert http_errors.to_safe_line("a banana", ["a"]) == "a banana"


@pytest.mark.parametrize("text", ["", "  ", "line\nbreak", "two words", "t\u00f6ken"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(PermanentError) as refusal:
        http_errors.read_credential(SecretStr(text), "the token")
    assert "the token" in str(refusal.value)
    assert not text.strip() or text not in str(refusal.value)


def test_spaces_around_a_token_are_a_slip_of_the_clipboard() -> None:
    assert http_errors.read_credential(SecretStr(" abc\n"), "the token") == "abc"
