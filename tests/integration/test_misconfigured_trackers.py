"""What `furrow doctor` reports about Jira and Linear, misconfigured in each of the usual ways: the address and the reason.

All servers have real sockets. `tests.e2e.test_commands_doctor` has the cases that need no server of their own.
"""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from furrow.doctor.configuration import TrackerAnswer, ask_tracker
from tests.fakes import github, gitlab, linear
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.jira import TOKEN, USER, FakeJira
from tests.fakes.linear import FakeLinear
from tests.fakes.server import Answer, Fake, Fault
from trackers import http_errors

LOGIN = "<!doctype html><html><head><title>Log in &ndash; SSO</title></head><body><form></form></body></html>"
FAKES: dict[str, Callable[[], Fake]] = {
    "jira": FakeJira,
    "linear": FakeLinear,
    "github": FakeGitHub,
    "gitlab": FakeGitLab,
}
TITLES = {"jira": "Jira", "linear": "Linear", "github": "GitHub", "gitlab": "GitLab"}
SLOW_DOWN = {"retry-after": "30"}


def settings(name: str, url: str, directory: Path, **changes: Any) -> Settings:
    of = {
        "jira": {"jira_url": url, "jira_user": USER, "jira_token": TOKEN, "jira_project": "OPS"},
        "linear": {"linear_url": url, "linear_key": linear.KEY, "linear_team": "ENG"},
        "github": {"github_url": url, "github_token": github.TOKEN, "github_repository": "acme/shop"},
        "gitlab": {"gitlab_url": url, "gitlab_token": gitlab.TOKEN, "gitlab_project": "acme/shop"},
    }
    return Settings.model_validate({"data_dir": directory, **of[name], **changes})


@pytest.fixture(params=["jira", "linear", "github", "gitlab"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fake(name: str) -> Iterator[Fake]:
    with FAKES[name]() as made:
        yield made


@pytest.fixture
def ask(name: str, tmp_path: Path) -> Callable[..., TrackerAnswer]:
    def asked(url: str, **changes: Any) -> TrackerAnswer:
        found = ask_tracker(name, settings(name, url, tmp_path, **changes), None)
        assert found.accepts_tickets is False
        assert found.message.startswith(url.rstrip("/"))
        assert TOKEN not in found.message
        assert linear.KEY not in found.message
        assert github.TOKEN not in found.message
        assert gitlab.TOKEN not in found.message
        assert "Error" not in found.message
        return found

    return asked


def url_of(fake: Fake) -> str:
    return fake.url if isinstance(fake, FakeLinear | FakeGitHub) else fake.address


def test_in_order_it_is_said_with_the_address(name: str, fake: Fake, tmp_path: Path) -> None:
    found = ask_tracker(name, settings(name, url_of(fake), tmp_path), None)
    assert found.accepts_tickets is True
    assert found.message.startswith(f"{url_of(fake)}: ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(401, {"errorMessages": ["the token has expired"], "errors": [{"message": "the token has expired"}]}),
         "answered 401: the token has expired"),
        (Answer(403, LOGIN, {"content-type": "text/html"}), "answered 403: Forbidden (a page called 'Log in – SSO')"),
        (Answer(404, LOGIN, {"content-type": "text/html"}), "answered 404: Not Found (a page called"),
        (Answer(200, LOGIN, {"content-type": "text/html"}), "something else than JSON (a page called 'Log in – SSO')"),
        (Answer(200, "", {"content-type": "text/plain"}), ""),
        (Answer(302, None, {"location": "https://sso.example/login?next=x"}), "answered 302, a redirect to sso.example"),
        (Answer(503, LOGIN, {"content-type": "text/html"}), "answered 503: Service Unavailable (a page called"),
        (Answer(429, {"errorMessages": ["slow down"], "errors": [{"message": "slow down"}]}, SLOW_DOWN),
         "answered 429: slow down; it asks to wait 30 s"),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Answer) else "",
)  # fmt: skip
def test_what_is_answered_is_said(ask: Callable[..., TrackerAnswer], fake: Fake, answer: Answer, words: str) -> None:
    fake.faults.append(Fault(lambda _: True, answer, times=100))
    assert words in ask(url_of(fake)).message


def test_a_wrong_path_is_said(ask: Callable[..., TrackerAnswer], fake: Fake, name: str) -> None:
    fake.faults.append(Fault(lambda one: "/wrong" in one.path, Answer(404, {"message": "no such page"}), times=100))
    url = f"{fake.address}/wrong"
    found = ask(url)
    assert f"{TITLES[name]} answered 404" in found.message


def test_a_host_that_does_not_exist(ask: Callable[..., TrackerAnswer]) -> None:
    assert "(there is no such host)" in ask("https://tracker.nowhere.invalid").message


def test_a_port_at_which_nothing_listens(ask: Callable[..., TrackerAnswer]) -> None:
    assert "(connection refused)" in ask("http://127.0.0.1:9").message


def test_a_server_that_never_answers(ask: Callable[..., TrackerAnswer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_errors, "ANSWER_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        assert "(no answer in time)" in ask(f"http://127.0.0.1:{silent.getsockname()[1]}").message


def test_a_certificate_that_nobody_vouches_for(ask: Callable[..., TrackerAnswer], tmp_path: Path) -> None:
    with encrypted(tmp_path) as port:
        assert "(its certificate is not valid)" in ask(f"https://127.0.0.1:{port}").message


def test_tls_with_a_server_that_speaks_none(ask: Callable[..., TrackerAnswer], fake: Fake) -> None:
    found = ask(fake.address.replace("http://", "https://"))
    assert "(it does not speak TLS: is it http://?)" in found.message


def test_an_address_with_a_password_is_refused_and_not_repeated(name: str, tmp_path: Path) -> None:
    found = ask_tracker(name, settings(name, "https://me:hunter2@tracker.example", tmp_path), None)
    assert found.accepts_tickets is False
    assert "hunter2" not in found.message


@contextmanager
def encrypted(directory: Path) -> Iterator[int]:
    """The port of a server with a self-signed certificate."""
    made, key = directory / "cert.pem", directory / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made), *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the test is about clients that hang up
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
