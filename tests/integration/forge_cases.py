"""What the tests of GitHub and GitLab have in common."""

from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from tests.fakes import github, gitlab
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.server import Request
from tests.unit.trackers.incidents import incident
from trackers.forge.tracker import ForgeTracker
from trackers.github import GitHubApi
from trackers.gitlab import GitLabApi
from trackers.ticket import Ticket, build_ticket
from trackers.transport import Reach

IDENTITY = "furrow-0123456789abcdef0123456789abcdef"
KEY = "acme/shop#1"
Site = FakeGitHub | FakeGitLab


def connect(site: Site, project: str = "acme/shop", **projects: str) -> ForgeTracker:
    api: GitHubApi | GitLabApi
    if isinstance(site, FakeGitHub):
        api = GitHubApi(SecretStr(github.TOKEN), site.url, Reach())
    else:
        api = GitLabApi(SecretStr(gitlab.TOKEN), site.url, Reach())
    return ForgeTracker(api, project, projects, lag=(0.0, 0.0))


def is_create(request: Request) -> bool:
    return github.is_create(request) or gitlab.is_create(request)


def is_list(request: Request) -> bool:
    return request.method == "GET" and request.path.endswith("/issues")


def is_comment(request: Request) -> bool:
    return github.is_comment(request) or gitlab.is_comment(request)


def ticket(**changes: Any) -> Ticket:
    return build_ticket(incident(**changes), "https://furrow.test")


def regressed() -> Ticket:
    history = [{"from": "resolved", "to": "regressed", "reason": "4 sessions that started after the fix"}]
    return ticket(status="regressed", history=history, generation=1)


class Waits:
    """A gate that notes how long the tracker is to be left alone."""

    def __init__(self) -> None:
        self.closed: list[float] = []

    def wait_for_turn(self) -> None:
        """Nothing to wait for."""

    def close(self, seconds: float, reason: str) -> None:
        self.closed.append(round(seconds))

    def check_lease(self) -> None:
        """It is ours."""


def epoch(seconds: float) -> str:
    return str(int(datetime.now(UTC).timestamp() + seconds))
