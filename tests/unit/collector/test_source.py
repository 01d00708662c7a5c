"""The source of a request is its peer, or what trusted proxies say of it; nobody else's claim is believed."""

import pytest
from starlette.requests import HTTPConnection

from collector.senders.source import UNKNOWN, SourceReader
from core.networks import parse_networks


def connection(peer: str | None, *forwarded: str, **headers: str) -> HTTPConnection:
    lines = [("x-forwarded-for", value) for value in forwarded]
    lines += [(name.replace("_", "-"), value) for name, value in headers.items()]
    raw = [(name.encode(), value.encode()) for name, value in lines]
    return HTTPConnection({"type": "http", "client": (peer, 1) if peer else None, "headers": raw})


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "source"),
    [
        ("", "198.51.100.7", ("203.0.113.9",), "198.51.100.7"),
        ("10.0.0.0/8", "10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", ("1.1.1.1, 203.0.113.9",), "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", ("1.1.1.1", "203.0.113.9, 10.0.0.2"), "203.0.113.9"),
        ("10.0.0.0/8", "198.51.100.7", ("203.0.113.9",), "198.51.100.7"),
        ("10.0.0.0/8", "10.0.0.1", ("nonsense",), "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", ("203.0.113.9:4711",), "203.0.113.9"),
        ("::1", "::1", ("[2001:db8:1:2:3::4]:99",), "2001:db8:1:2::/64"),
        ("", "2001:db8:1:2:ffff::1", (), "2001:db8:1:2::/64"),
        ("127.0.0.1", "::ffff:127.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("", None, ("203.0.113.9",), UNKNOWN),
    ],
)
def test_source_of_a_request(trusted: str, peer: str | None, forwarded: tuple[str, ...], source: str) -> None:
    assert SourceReader(parse_networks(trusted)).find_request_source(connection(peer, *forwarded)) == source


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip"])
def test_a_forwarded_request_is_not_direct(header: str) -> None:
    reader = SourceReader(())
    assert reader.is_direct_request(connection("127.0.0.1"))
    assert not reader.is_direct_request(connection("127.0.0.1", **{header: "203.0.113.9"}))


def test_a_list_of_networks_names_the_entry_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.300"):
        parse_networks("127.0.0.1, 10.0.0.300")
