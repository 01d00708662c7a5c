"""`furrow releases` and the fix of `furrow incidents resolve`, against a collector that answers what it is told."""

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from core.errors import WrongUse
from furrow.cli.app import app

INCIDENT = "inc_0123456789abcdef0123456789abcdef"


def run(server: HTTPServer, *arguments: str) -> Any:
    found = CliRunner().invoke(app, [*arguments, "--url", server.url_for("").rstrip("/"), "--key", "operator"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def sent(server: HTTPServer) -> Any:
    ((request, _),) = server.log
    return json.loads(request.get_data())


def test_a_release_is_added_with_what_is_known_of_it(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/releases", method="POST").respond_with_json(
        {"success": True, "incidents": [INCIDENT]}
    )
    shown = run(
        httpserver, "releases", "add", "shop", "2.5.0", "--environment", "production", "--branch", "main", "--time",
        "2026-01-31T10:00:00",
    )  # fmt: skip
    assert sent(httpserver) == {
        "projectId": "shop",
        "version": "2.5.0",
        "environment": "production",
        "branch": "main",
        "time": "2026-01-31T10:00:00+00:00",
    }
    assert "it has the fix of 1 incident" in shown


def test_a_release_needs_no_more_than_its_version(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/releases", method="POST").respond_with_json({"success": True, "incidents": []})
    assert "shop 2.5.0 is out" in run(httpserver, "releases", "add", "shop", "2.5.0")
    assert sent(httpserver) == {"projectId": "shop", "version": "2.5.0"}


def test_releases_are_listed_and_shown_as_text(httpserver: HTTPServer) -> None:
    release = {
        "projectId": "shop",
        "environment": "production",
        "version": "[red]2.5.0\x1b[31m",
        "branch": "",
        "releasedAt": None,
        "addedBy": None,
        "firstSeen": "2026-01-31T10:00:00.000Z",
    }
    httpserver.expect_request("/v1/releases", query_string="project=shop&environment=production").respond_with_json(
        {"releases": [release]}
    )
    shown = run(httpserver, "releases", "list", "shop", "--environment", "production")
    assert "[red]2.5.0" in shown
    assert "\x1b[31m" not in shown
    assert json.loads(run(httpserver, "releases", "list", "shop", "--environment", "production", "--json")) == {
        "releases": [release]
    }


def test_a_project_without_releases_says_so(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/releases").respond_with_json({"releases": []})
    assert "no releases" in run(httpserver, "releases", "list", "shop")


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ((), {}),
        (("--fixed-in", "2.5"), {"version": "2.5"}),
        (("--next-release", "--environment", "production"), {"nextRelease": True, "environment": "production"}),
    ],
)
def test_an_incident_is_resolved_where_it_is_fixed(
    httpserver: HTTPServer, options: tuple[str, ...], body: dict[str, object]
) -> None:
    httpserver.expect_request(f"/v1/incidents/{INCIDENT}/resolve").respond_with_json({"error": {"message": "ok"}}, 409)
    with pytest.raises(Exception, match="409"):
        run(httpserver, "incidents", "resolve", INCIDENT, "--reason", "merged", *options)
    assert sent(httpserver) == {"reason": "merged", **body}


@pytest.mark.parametrize("options", [("--fixed-in", "2", "--next-release"), ("--environment", "production")])
def test_options_that_exclude_each_other_are_refused(httpserver: HTTPServer, options: tuple[str, ...]) -> None:
    with pytest.raises(WrongUse):
        run(httpserver, "incidents", "resolve", INCIDENT, "--reason", "merged", *options)
    assert httpserver.log == []
