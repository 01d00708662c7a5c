"""Which host names are answered, and which pages are ours."""

import pytest

from core.hosts import AllowedHosts, host_names


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "127.0.0.1:1",
        "[::1]:8080",
        "[fe80::1]",
        "10.1.2.3",
        "collector",
        "x.localhost",
        "furrow.internal:80",
        "c.ns.svc",
        "c.ns.svc.cluster.local:8080",
    ],
)
def test_what_no_stranger_can_register_is_answered(host: str) -> None:
    assert AllowedHosts().allows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        "evil.example",
        "evil.example.",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.local",
        "1.2.3",
        "0x7f.1",
        "a b",
        "a/b",
        "user@localhost",
        "localhost:x",
        "localhost:99999",
        "[::1",
        "[evil.example]",
        "localhost#.evil.example",
        "ｌocalhost",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not AllowedHosts().allows_host(host)


def test_configured_names_are_answered() -> None:
    allowed = AllowedHosts(host_names("0.0.0.0", "https://Furrow.example:8443/x", "a.example, *.b.example ,"))
    for host in ("furrow.example", "FURROW.EXAMPLE:443", "a.example", "x.b.example", "x.y.b.example"):
        assert allowed.allows_host(host), host
    for host in ("b.example", "x.a.example", "xfurrow.example", "evil.example"):
        assert not allowed.allows_host(host), host
    assert AllowedHosts(host_names("*")).allows_host("evil.example")
    assert host_names("", " , ") == ()
