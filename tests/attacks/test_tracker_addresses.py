"""A tracker's address that leads elsewhere: redirects, plain http, private networks, and names that change their address."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError

from core.errors import PermanentError, TransientError
from core.settings import Settings
from tests.fakes.github import TOKEN as GITHUB_TOKEN
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import TOKEN as GITLAB_TOKEN
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.jira import TOKEN, USER, FakeJira
from tests.fakes.linear import KEY, FakeLinear
from tests.fakes.server import Answer, Fault
from tests.fakes.webhook import SECRET, FakeWebhook
from tests.unit.trackers.incidents import incident
from trackers.forge.tracker import ForgeTracker
from trackers.github import GitHubApi
from trackers.gitlab import GitLabApi
from trackers.jira import JiraTracker
from trackers.linear import LinearTracker
from trackers.protocol import Tracker
from trackers.ticket import build_ticket
from trackers.transport import SETTING, Reach
from trackers.webhook import WebhookTracker

INSIDE = [
    "10.0.0.8",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",  # metadata of clouds
    "100.64.0.1",
    "0.0.0.0",
    "[::]",
    "[fd00::1]",
    "[fe80::1]",
    "[::ffff:10.0.0.8]",
    "[64:ff9b::a00:8]",
    "[2002:a00:8::1]",
    "0xa000008",
    "167772168",
    "224.0.0.1",
]


def jira(url: str, reach: Reach | None = None) -> JiraTracker:
    return JiraTracker(url, USER, SecretStr(TOKEN), "OPS", lag=(), reach=reach)


def linear(url: str, reach: Reach | None = None) -> LinearTracker:
    return LinearTracker(SecretStr(KEY), "eng", url, reach=reach)


def github(url: str, reach: Reach | None = None) -> ForgeTracker:
    return ForgeTracker(GitHubApi(SecretStr(GITHUB_TOKEN), url, reach or Reach()), "acme/shop", {}, lag=())


def gitlab(url: str, reach: Reach | None = None) -> ForgeTracker:
    return ForgeTracker(GitLabApi(SecretStr(GITLAB_TOKEN), url, reach or Reach()), "acme/shop", {}, lag=())


def webhook(url: str, reach: Reach | None = None) -> WebhookTracker:
    return WebhookTracker(SecretStr(SECRET), url, "", {}, reach)


Make = Callable[..., Tracker]
EACH = pytest.mark.parametrize("make", [jira, linear, github, gitlab, webhook])
FAKES = [(jira, FakeJira), (linear, FakeLinear), (github, FakeGitHub), (gitlab, FakeGitLab), (webhook, FakeWebhook)]


def file(tracker: Tracker) -> None:
    try:
        tracker.file_ticket(build_ticket(incident(), "https://furrow.test"), uuid4())
    finally:
        tracker.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("make", "fake"), FAKES)
def test_a_redirect_is_an_error_and_takes_nothing_along(status: int, make: Make, fake: type) -> None:
    with fake() as site, FakeJira() as elsewhere:
        there = Answer(status, "<html>", {"Location": f"{elsewhere.address}/rest/api/3/search/jql"})
        site.faults.append(Fault(lambda _: True, there, times=9))
        with pytest.raises(PermanentError, match=f"{status}, a redirect to 127.0.0.1; redirects are not followed"):
            file(make(getattr(site, "url", site.address)))
        assert elsewhere.requests == []


@EACH
@pytest.mark.parametrize("host", ["jira.example.com", "10.0.0.8", "localhost.example.com", "127.0.0.1.example.com"])
def test_only_this_machine_is_spoken_to_without_tls(make: Make, host: str) -> None:
    with pytest.raises(PermanentError, match="must begin with https://"):
        make(f"http://{host}/")


@EACH
@pytest.mark.parametrize("host", INSIDE)
def test_an_address_inside_needs_the_setting(make: Make, host: str) -> None:
    with pytest.raises(PermanentError, match=SETTING):
        make(f"https://{host}/graphql")


@EACH
@pytest.mark.parametrize(
    ("host", "network"),
    [("10.0.0.8", "10.0.0.0/8"), ("[fd00::1]", "10.0.0.0/8, fd00::/8"), ("[::ffff:10.0.0.8]", "10.0.0.8")],
)
def test_the_setting_allows_it(make: Make, host: str, network: str) -> None:
    make(f"https://{host}/graphql", reach=Reach.from_setting(network)).close()
    with pytest.raises(PermanentError, match=SETTING):
        make("https://192.168.7.7", reach=Reach.from_setting(network))


def test_the_setting_holds_networks_alone() -> None:
    with pytest.raises(ValidationError):
        Settings(tracker_private_networks="everywhere")


class Listener:
    """A service of this machine that writes down how many connections it got, and what came over them."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.received: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    self.received.append(connection.recv(65536))
                except OSError:
                    self.received.append(b"")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()
    yield one
    one.close()


def names(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> list[str]:
    """Let every name lead to the addresses ``answers``, one after the other, the last one for good; the names asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            asked.append(name)
            name = answers[min(len(asked), len(answers)) - 1]
        return real(name, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@EACH
@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.8", "169.254.169.254"])
@pytest.mark.parametrize("before", [[], ["8.8.8.8"]], ids=["at once", "later"])
def test_a_name_that_leads_inside_is_not_connected_to(
    make: Make, before: list[str], address: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = names(monkeypatch, [*before, address])
    with pytest.raises(PermanentError, match=f"jira.example.com is at {address}.*{SETTING}"):
        file(make(f"https://jira.example.com:{listener.port}/"))
    assert asked
    assert listener.received == []


@EACH
def test_a_name_that_changes_between_check_and_connection_gets_not_one_byte(
    make: Make, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the check sees an address of the internet, the connection leads to this machine."""
    asked = names(monkeypatch, ["8.8.8.8", "8.8.8.8", "127.0.0.1"])
    with pytest.raises(PermanentError, match=f"is at 127.0.0.1.*{SETTING}"):
        file(make(f"https://jira.example.com:{listener.port}/"))
    assert len(asked) >= 3
    for _ in range(100):
        if listener.received:
            break
        threading.Event().wait(0.05)
    assert listener.received == [b""]


@EACH
def test_a_proxy_of_the_environment_is_used_and_resolves_the_name(
    make: Make, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    asked = names(monkeypatch, ["10.0.0.8"])
    with pytest.raises(TransientError):
        file(make("https://jira.example.com/"))
    assert asked == []
    assert all(one.startswith(b"CONNECT jira.example.com:443 ") for one in listener.received)
    with pytest.raises(PermanentError, match=SETTING):
        make("https://10.0.0.8/")


@pytest.mark.parametrize(("make", "fake"), FAKES)
def test_localhost_by_name_is_this_machine(make: Make, fake: type) -> None:
    with fake() as site:
        file(make(getattr(site, "url", site.address).replace("127.0.0.1", "localhost")))
        assert site.requests
