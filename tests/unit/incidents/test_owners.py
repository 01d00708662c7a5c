"""The file of owners: what each line means, that the first rule decides, and that a bad line leaves the others alone."""

import time
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import PermanentError
from core.metrics import DEGRADED
from incidents.incident import Incident
from incidents.owner_patterns import Pattern, Place
from incidents.owners import owner_of
from incidents.owners_file import MAX_BYTES, MAX_RULES, OwnersFile, load_owners, parse_owners

PAY = Place("shop", "/checkout/:id", "POST /api/orders/:id", "button#pay", "Pay now")


def who(text: str, place: Place = PAY) -> tuple[str, ...]:
    rule = parse_owners(text).find_rule(place)
    return rule.owners if rule else ()


def an_incident(**changes: Any) -> Incident:
    point = {"route": "/checkout", "target": "button#pay", "feedback": "POST /api/orders → 500"}
    made = {"projectId": "shop", "failurePoint": point, "label": "Pay now", "assignee": None, "assignedBy": None}
    return cast(Incident, made | changes)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("/checkout/*", True),
        ("/checkout/:order", True),
        ("/checkout/{id}", True),
        ("/checkout/", True),
        ("/checkout/**", True),
        ("/check*/**", True),
        ("/**/:id", True),
        ("*", True),
        ("**", True),
        ("/checkout", False),
        ("/check", False),
        ("/checkout/*/pay", False),
        ("/CHECKOUT/", False),
        ("route:/checkout/", True),
        ("endpoint:/api/orders/*", True),
        ('endpoint:"POST /api/orders/"', True),
        ('endpoint:"post /api/**"', True),
        ('endpoint:"* /api/**"', True),
        ('endpoint:"GET /api/**"', False),
        ("endpoint:/api", False),
        ("control:button#pay", True),
        ("control:button#p*", True),
        ('control:"pay NOW"', True),
        (r"control:pay\ now", True),
        ("control:button", False),
        ("app:shop", True),
        ("app:s*", True),
        ("app:blog", False),
        ("app:shop control:button#pay /checkout/", True),
        ("app:shop control:button#other /checkout/", False),
    ],
)
def test_a_pattern_fits_what_its_kind_says(pattern: str, fits: bool) -> None:
    rules = parse_owners(f"{pattern} @team")
    assert not rules.problems
    assert (rules.find_rule(PAY) is not None) == fits


def test_a_directory_is_also_its_own_page_and_no_neighbour() -> None:
    assert who("/checkout/ @a", Place("shop", "/checkout")) == ("@a",)
    assert who("/checkout/ @a", Place("shop", "/checkout-old")) == ()
    assert who("/ @a", Place("shop", "/")) == ("@a",)
    assert who("/ @a", Place("shop", "/checkout")) == ()


def test_an_error_that_is_no_request_has_no_endpoint() -> None:
    point = {"route": "/checkout", "target": "", "feedback": "TypeError: x is undefined"}
    rules = parse_owners("endpoint:* @api\n* @web")
    owner = owner_of(an_incident(failurePoint=point), rules)
    assert owner
    assert owner.names == ("@web",)


def test_the_first_rule_decides() -> None:
    text = "/checkout/pay/ @payments\n/checkout/ @shop anna@example.com # and Anna\n* @everybody"
    assert who(text, Place("shop", "/checkout/pay/card")) == ("@payments",)
    assert who(text) == ("@shop", "anna@example.com")
    assert who(text, Place("shop", "/help")) == ("@everybody",)


def test_a_file_in_the_order_of_github_is_named_with_both_lines() -> None:
    rules = parse_owners("* @everybody\n\n/checkout/ @shop\nendpoint:/api/ @api\napp:blog /posts/ @blog")
    assert [problem.line for problem in rules.problems] == [3, 4, 5]
    assert "line 1 (*) fits first" in str(rules.problems[0])
    assert "FIRST" in str(rules.problems[0])
    assert rules.find_rule(PAY) is rules.rules[0]


@pytest.mark.parametrize(
    "text",
    [
        "/checkout/*/pay @a\n/checkout/ @b",
        "/checkout @a\n/checkout/ @b",
        "endpoint:/api/ @a\n/api/ @b",
        "[shop]\n* @a\n[blog]\n* @b\n[*]\n* @c",
        "control:button#pay @a\ncontrol:button* @b",
    ],
)
def test_rules_that_decide_something_are_no_problem(text: str) -> None:
    assert parse_owners(text).problems == ()


def test_a_section_holds_for_its_project() -> None:
    text = "[shop]\n* @shop\n[*]\n* @all"
    assert who(text) == ("@shop",)
    assert who(text, Place("blog", "/")) == ("@all",)


def test_a_rule_without_owners_leaves_it_to_nobody() -> None:
    rules = parse_owners("/checkout/\n* @all")
    assert rules.problems == ()
    assert owner_of(an_incident(), rules) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("src/checkout.js @a", "no pattern"),
        ("*.js @a", "no pattern"),
        ("/checkout @a /more", "'/more' is no owner"),
        ("@a", "no pattern stands before"),
        (" ".join(f"/page{n}/" for n in range(40)) + " @a", "at most 8 patterns, all of which must fit"),
        ('control:"Pay @a', "quotation mark"),
        ("control: @a", "has no pattern"),
        ("endpoint:api @a", "begins with / or is"),
        ("[not a project]", "names no project"),
        ("@a = jira", "no account"),
        ("@a = slack:x", "no account"),
        ("shop = jira:1", "no owner"),
        ("/" + "x" * 2_000 + " @a", "at most 1000 characters"),
        ("/a\x00b @a", "control character"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_holds(line: str, words: str) -> None:
    rules = parse_owners(f"/checkout/ @shop\n{line}\n[*]\n* @all")
    assert [(problem.line, words in problem.text) for problem in rules.problems][:1] == [(2, True)], rules.problems
    assert rules.find_rule(PAY) is not None
    assert who(f"{line}\n[*]\n* @all") == ("@all",)


def test_lines_of_an_unknown_section_hold_for_nobody() -> None:
    rules = parse_owners("[a b]\n* @a")
    assert rules.rules == ()
    assert [problem.line for problem in rules.problems] == [1, 2]


def test_an_owner_has_accounts_at_trackers() -> None:
    rules = parse_owners("@a = jira:712020:ab-c linear-team:uuid-1\n/checkout/ @a @b\n@a = jira:2")
    owner = owner_of(an_incident(), rules)
    assert owner
    assert owner.accounts == {"jira": "712020:ab-c", "linear-team": "uuid-1"}
    assert owner.to_json() == {
        "names": ["@a", "@b"], "decidedBy": "rule", "line": 2, "rule": "/checkout/", "reason": "line 2: /checkout/",
    }  # fmt: skip
    assert [problem.line for problem in rules.problems] == [3]


def test_a_persons_assignment_wins_over_rules() -> None:
    rules = parse_owners("@anna = jira:7\n* @all")
    owner = owner_of(an_incident(assignee="anna", assignedBy="on call"), rules)
    assert owner
    assert owner.names == ("anna",)
    assert owner.accounts == {"jira": "7"}
    assert owner.to_json()["decidedBy"] == "person"
    assert owner.reason == "assigned by on call"


def test_more_rules_than_the_limit_are_named() -> None:
    rules = parse_owners("".join(f"/p{n} @a\n" for n in range(MAX_RULES + 1)))
    assert len(rules.rules) == MAX_RULES
    assert rules.problems[0].line == MAX_RULES + 1


@given(st.text(max_size=300))
def test_any_text_is_read_and_matched(text: str) -> None:
    rules = parse_owners(text)
    rules.find_rule(PAY)
    assert len(rules.rules) + len(rules.problems) <= 3 * len(text.splitlines()) + 1


def test_no_value_makes_a_pattern_slow() -> None:
    begin = time.perf_counter()
    hostile = Place("shop", "/a" * 5_000, "", "a" * 20_000)
    for text in ("/**/a/**/a/**/a/**/b", "/*a*a*a*a*b/**/*a*a*b"):
        assert not Pattern("route", text).fits(hostile)
    assert not Pattern("control", "*a*a*a*a*a*a*b").fits(hostile)
    assert time.perf_counter() - begin < 2


# The file
# ----------------------------------------------------------------------------------------------------------------------


def count(reason: str) -> float:
    return DEGRADED.labels("owners", reason)._value.get()


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "OWNERS"
    path.write_text("* @a")
    file = OwnersFile(path)
    first = file.read_rules()
    assert file.read_rules() is first
    bad = count("bad_line")
    path.write_text("nonsense\n* @bb")
    assert file.read_rules().find_rule(PAY).owners == ("@bb",)  # type: ignore[union-attr]
    assert count("bad_line") == bad + 1
    file.read_rules()
    assert count("bad_line") == bad + 1


def test_while_the_file_is_away_the_last_rules_hold(tmp_path: Path) -> None:
    path = tmp_path / "OWNERS"
    path.write_text("* @a")
    file = OwnersFile(path)
    file.read_rules()
    path.unlink()
    away = count("unreadable_file")
    for _ in range(2):
        rules = file.read_rules()
        assert rules.find_rule(PAY).owners == ("@a",)  # type: ignore[union-attr]
        assert [problem.line for problem in rules.problems] == [0]
    assert count("unreadable_file") == away + 2
    path.write_text("* @b")
    rules = file.read_rules()
    assert rules.problems == ()
    assert rules.find_rule(PAY).owners == ("@b",)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "OWNERS"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(PermanentError, match="larger than 1 MiB"):
        load_owners(path)


def test_owner_of_reads_the_configured_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "OWNERS"
    path.write_text("/checkout/ @shop")
    monkeypatch.setenv("FURROW_OWNERS_FILE", str(path))
    owner = owner_of(an_incident())
    assert owner
    assert owner.names == ("@shop",)
    monkeypatch.setenv("FURROW_OWNERS_FILE", "")
    assert owner_of(an_incident()) is None


def test_the_digest_tells_rules_apart_that_may_decide_otherwise() -> None:
    base = parse_owners("[shop]\n/checkout/ control:pay @a @b\n[*]\n* @web\n").digest
    same = "# a comment\n@a = jira:x\n[shop]\n\n/checkout/   control:pay @a @b # why\n[*]\n* @web\n"
    assert parse_owners(same).digest == base
    for other in (
        "[shop]\n/checkout/ control:pay @b @a\n[*]\n* @web\n",
        "[shop]\n/checkout/ control:pays @a @b\n[*]\n* @web\n",
        "[shop]\n/checkout/ app:pay @a @b\n[*]\n* @web\n",
        "[blog]\n/checkout/ control:pay @a @b\n[*]\n* @web\n",
        "* @web\n[shop]\n/checkout/ control:pay @a @b\n",
        "[shop]\n/checkout/ control:pay @a @b\n",
        "",
    ):
        assert parse_owners(other).digest != base, other
