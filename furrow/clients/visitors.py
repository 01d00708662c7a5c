"""Which address of a log's lines is the visitor's (docs/contracts/events.md, Access logs; docs/decisions/0056).

A line may hold several addresses: of a virtual host, of the machine that sent it to a syslog, of a proxy, of the visitor
(X-Forwarded-For). Each has a place: the places before the time are numbered from 0, those after the user agent from
``AFTER_AGENT``. ``AddressSurvey`` compares the places over a whole log.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

AFTER_AGENT: Final = 100
_MOST_PLACES: Final = 8
_MOST_COUNTED: Final = 10_000  # distinct addresses of a place; more do not change the choice
_LONGEST: Final = 64
_FEW_LINES: Final = 20
_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_IN_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\](?::\d{1,5})?")
_WITH_PORT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")
_NOBODY: Final = frozenset({"", "-", "unknown"})
_INSIDE: Final = tuple(
    ip_network(net)
    for net in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Networks that nobody has on the internet. Not ``is_private``: that includes the addresses of documentation."""


@lru_cache(maxsize=1 << 16)
def parse_address(token: str) -> str:
    """The address that ``token`` is, '' if it is none: IPv4 or IPv6, perhaps in brackets, with a port or a comma after it.

    An IPv4 address in the form of IPv6 becomes IPv4.
    """
    text = token.rstrip(",")
    if len(text) > _LONGEST or not (":" in text or "." in text):
        return ""
    if match := _IN_BRACKETS.fullmatch(text) or _WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    return str((isinstance(found, IPv6Address) and found.ipv4_mapped) or found)


@lru_cache(maxsize=1 << 16)
def is_inside_address(address: str) -> bool:
    """Whether an address (as of ``parse_address``) is one of a private network or of the machine itself."""
    found = ip_address(address)
    return any(found in net for net in _INSIDE)


class LineAddresses(NamedTuple):
    """The addresses of one line by their places, and the places after the agent that hold something else."""

    at: Mapping[int, str]
    other: tuple[int, ...] = ()


def find_line_addresses(before: str, after: str) -> LineAddresses:
    """The addresses in what a line has before its time, and after its user agent (parts in quotes, or words)."""
    ahead = [address for token in before.split() if (address := parse_address(token))]
    at, other = dict(enumerate(ahead[:_MOST_PLACES])), []
    for place, match in zip(range(AFTER_AGENT, AFTER_AGENT + _MOST_PLACES), _TOKEN.finditer(after), strict=False):
        quoted, word = match.groups()
        # A word with a port is a server behind the proxy; a list in quotes is X-Forwarded-For.
        address = (
            _find_client(quoted) if quoted is not None else ("" if _WITH_PORT.fullmatch(word) else parse_address(word))
        )
        if address:
            at[place] = address
        elif (word if quoted is None else quoted) not in _NOBODY:
            other.append(place)
    return LineAddresses(at, tuple(other))


def _find_client(listed: str) -> str:
    """Of a list of addresses with commas the first that is not of a private network, else the first; '' if it is no list."""
    parts = [part.strip() for part in listed.split(",")]
    found = [parse_address(part) for part in parts if part.lower() not in _NOBODY]
    if not found or not all(found):
        return ""
    return next((address for address in found if not is_inside_address(address)), found[0])


@dataclass(slots=True)
class _Place:
    lines: int = 0
    other: int = 0
    differs: int = 0
    """Lines whose first address is another one."""
    outside: int = 0
    """Lines with an address that is not of a private network."""
    seen: set[str] = field(default_factory=set)


class VisitorPlace(NamedTuple):
    """Where the visitor's address stands, and a sentence for the person who reads the log, '' if nothing is odd."""

    place: int = 0
    notice: str = ""

    def find_visitor(self, addresses: LineAddresses) -> str:
        """The visitor's address of a line: at the place, else the first of the line; '' if it has none."""
        return addresses.at.get(self.place) or next((addresses.at[at] for at in sorted(addresses.at)), "")


FIRST_ADDRESS: Final = VisitorPlace()


class AddressSurvey:
    """Counts the addresses of all lines of a log by their places."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}
        self._agents: set[int] = set()

    def add_line(self, addresses: LineAddresses, agent: str) -> None:
        first = addresses.at.get(0, "")
        for at, address in addresses.at.items():
            place = self._places.setdefault(at, _Place())
            place.lines += 1
            place.outside += not is_inside_address(address)
            place.differs += address != first
            if len(place.seen) < _MOST_COUNTED:
                place.seen.add(address)
        for at in addresses.other:
            self._places.setdefault(at, _Place()).other += 1
        if len(self._agents) < _FEW_LINES:
            self._agents.add(hash(agent))

    def choose_place(self) -> VisitorPlace:
        """The first address, unless it is a proxy's or a server's: always the same or always private, while another place
        holds addresses of visitors; or nearly all lines name another address after the user agent.
        """
        first = self._places.get(0)
        if first is None or not first.lines:
            return FIRST_ADDRESS
        shared = len(first.seen) == 1 or not first.outside
        others = [at for at, place in self._places.items() if at and self._may_be_visitors(at, place, first, shared)]
        if not others:
            return VisitorPlace(0, self._describe_one_source(first))
        best = min(others, key=lambda at: (-self._places[at].lines, at))
        return VisitorPlace(best, _describe_choice(best, first, self._places[best], shared))

    def _may_be_visitors(self, at: int, place: _Place, first: _Place, shared: bool) -> bool:
        if place.other or not place.differs:
            return False
        varies = len(place.seen) > 1
        if shared:
            # Addresses of one's own network are visitors' only where nothing comes from elsewhere.
            return (varies and (bool(place.outside) or not first.outside)) or bool(place.outside and not first.outside)
        most = at >= AFTER_AGENT and 10 * min(place.lines, place.differs) >= 9 * first.lines
        return most and varies and 2 * place.outside > place.lines

    def _describe_one_source(self, first: _Place) -> str:
        if len(first.seen) > 1 or first.outside or first.lines < _FEW_LINES or len(self._agents) < 2:
            return ""
        (only,) = first.seen
        return (
            f"all lines come from {only}, a private address, so that visitors with the same browser count as one; "
            "let the server log X-Forwarded-For"
        )


def _describe_choice(at: int, first: _Place, place: _Place, shared: bool) -> str:
    if not shared:
        source = "nearly all lines name another address after the user agent"
    elif len(first.seen) == 1:
        source = f"all lines come from {next(iter(first.seen))}"
    else:
        source = "all lines come from private addresses"
    where = "after the user agent" if at >= AFTER_AGENT else f"number {at + 1} of the line"
    return f"{source}; visitors are recognized by the address {where} (like {min(place.seen)})"
