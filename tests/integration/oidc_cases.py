"""A collector beside a real OpenID provider (npm oidc-provider, tests/integration/oidc_provider), and people with browsers."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from pydantic import SecretStr

from collector.oidc.config import OidcConfig
from core.roles import parse_group_roles
from tests.integration.api_cases import serving
from tests.npm import install_packages
from tests.ports import free_port

FOLDER = Path(__file__).parent / "oidc_provider"
SECRET = "a client's secret"
GROUPS = {
    "/furrow/admins": "admin",
    "staff": "viewer",
    "shop team": "operator:shop",
    "shop leads": "admin:shop",
    "both teams": "operator:shop,blog",
}
PEOPLE: dict[str, dict[str, Any]] = {
    "ada": {"name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True, "groups": ["/furrow/admins"]},
    "bob": {"name": "Bob", "email": "bob@example.com", "groups": ["shop team", "choir"]},
    "cleo": {"name": "Cleo", "email": "cleo@example.com", "groups": ["both teams"]},
    "dan": {"name": "Dan", "email": "dan@example.com", "groups": ["shop leads"]},
    "eve": {"name": "Eve <script>alert(1)</script>", "email": "eve@example.com", "groups": ["choir"]},
    "fay": {"name": "Fay", "email": "fay@example.com"},
    "vic": {"preferred_username": "vic", "groups": "staff"},
}
_REDIRECTS = 20


def provider_config(port: int, **changes: Any) -> OidcConfig:
    return OidcConfig(
        **{
            "issuer": f"http://127.0.0.1:{port}",
            "client_id": "furrow",
            "client_secret": SecretStr(SECRET),
            "scopes": "openid profile email groups",
            "groups": parse_group_roles(json.dumps(GROUPS)),
            "name": "Staff login",
            **changes,
        }
    )


@contextmanager
def running_provider(
    port: int,
    collector: str,
    people: Mapping[str, Any] = PEOPLE,
    options: Mapping[str, Any] | None = None,
    host: str = "127.0.0.1",
) -> Iterator[None]:
    """The provider, for the pages of ``collector``."""
    install_packages(FOLDER)
    arguments = [str(port), f"{collector}/sign-in/callback", json.dumps(people), json.dumps(options or {}), host]
    with subprocess.Popen(
        ["node", "provider.js", *arguments], cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == f"http://{host}:{port}"
            yield
        finally:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class Installation:
    """A collector, its provider's port, and a client without cookies of a person."""

    client: httpx.Client
    port: int

    @property
    def base(self) -> str:
        return str(self.client.base_url).rstrip("/")


@contextmanager
def installation(directory: Path, postgres_url: str, **changes: Any) -> Iterator[Installation]:
    """A collector whose provider does not run."""
    port = free_port()
    with serving(directory, postgres_url, oidc=provider_config(port, **changes)) as client:
        yield Installation(client, port)


@contextmanager
def installation_with_provider(directory: Path, postgres_url: str, **changes: Any) -> Iterator[Installation]:
    with installation(directory, postgres_url, **changes) as made, running_provider(made.port, made.base):
        yield made


@contextmanager
def browser(made: Installation) -> Iterator[httpx.Client]:
    """A browser of its own, which follows no redirect by itself."""
    with httpx.Client(base_url=made.base, trust_env=False, timeout=30) as client:
        yield client


def begin_login(client: httpx.Client, target: str = "/incidents") -> httpx.Response:
    """The collector's redirect to the provider."""
    return client.get("/sign-in/provider", params={"target": target})


def visit_provider(client: httpx.Client, address: str, login: str) -> str:
    """Sign in with the forms of the provider; returns the address at the collector to which it leads back."""
    answer = client.get(address)
    for _ in range(_REDIRECTS):
        if answer.is_redirect:
            address = urljoin(str(answer.url), answer.headers["location"])
            if "/sign-in/callback" in address:
                return address
            answer = client.get(address)
            continue
        assert answer.status_code == 200, answer.text[:500]
        action = re.search(r'<form[^>]* action="([^"]+)" method="post"', answer.text)
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        assert action is not None, answer.text[:2000]
        assert prompt is not None, answer.text[:2000]
        fields = {"prompt": prompt[1], **({"login": login, "password": "x"} if prompt[1] == "login" else {})}
        answer = client.post(urljoin(str(answer.url), action[1]), data=fields)
    raise AssertionError(f"the provider leads nowhere: {answer.url}")


def log_in(client: httpx.Client, login: str, target: str = "/incidents") -> httpx.Response:
    """The whole login; the collector's answer to the browser that comes back."""
    began = begin_login(client, target)
    assert began.status_code == 303, began.text
    return client.get(visit_provider(client, began.headers["location"], login))
