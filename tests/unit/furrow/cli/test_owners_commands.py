"""`furrow owners`: a bad file is named line by line, and who owns a place is explained with the rule that decides."""

import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from core.errors import PermanentError, WrongUse
from furrow.cli.app import app

RULES = "@payments = jira:712020:x linear-team:t1\n[shop]\nendpoint:/api/orders @payments\n[*]\n* @all\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "OWNERS"
    path.write_text(RULES)
    monkeypatch.setenv("FURROW_OWNERS_FILE", str(path))
    return path


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, " ".join(done.output.split())


def test_a_good_file_passes(file: Path) -> None:
    assert run("owners", "check") == (0, "2 rules, 0 problems; the first rule that fits decides")


def test_a_bad_line_is_named_and_ends_with_1(file: Path) -> None:
    file.write_text("* @all\nnonsense\n/checkout/ @shop\n")
    code, output = run("owners", "check", str(file))
    assert code == 1
    assert "line 2: 'nonsense' is no pattern" in output
    assert "line 3: /checkout/ decides nothing: line 1 (*) fits first. Here the FIRST rule that fits decides" in output
    assert "2 rules, 2 problems" in output
    code, output = run("owners", "check", "--json")
    assert (code, [found["line"] for found in json.loads(output)["problems"]]) == (1, [2, 3])


def test_who_owns_a_place_is_explained(file: Path) -> None:
    code, output = run("owners", "who", "--project", "shop", "--endpoint", "POST /api/orders")
    assert code == 0
    assert "@payments" in output
    assert "line 3: endpoint:/api/orders" in output
    assert "jira:712020:x, linear-team:t1" in output
    assert "line 5: *" in run("owners", "who", "--project", "blog", "--endpoint", "POST /api/orders")[1]
    file.write_text("/checkout @shop")
    assert run("owners", "who", "--route", "/help")[1].startswith("nobody")
    assert json.loads(run("owners", "who", "--route", "/help", "--json")[1]) == {"owner": None}
    with pytest.raises(WrongUse, match="method and a path"):
        run("owners", "who", "--endpoint", "/api")


def test_without_a_file_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_OWNERS_FILE", "")
    with pytest.raises(PermanentError, match="FURROW_OWNERS_FILE"):
        run("owners", "check")


def test_an_incident_is_assigned_and_the_answer_shown(httpserver: HTTPServer) -> None:
    sent = {"assignee": "@payments", "reason": "theirs"}
    httpserver.expect_request("/v1/incidents/inc_1/assign", method="POST", json=sent).respond_with_json({})
    words = ["incidents", "assign", "inc_1", " @payments ", "--reason", "theirs"]
    done = CliRunner().invoke(app, [*words, "--url", httpserver.url_for("/"), "--key", "k"])
    # The body was as expected; an answer without the keys of an incident is one of another version.
    assert isinstance(done.exception, PermanentError)
    assert "of another version" in str(done.exception)
