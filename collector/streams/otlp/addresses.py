"""Paths and hosts out of addresses; a query string never passes."""

from urllib.parse import SplitResult, urlsplit

from collector.contract.limits import MAX_ROUTE


def cut_to_path(address: str) -> str:
    """The path of ``address``, with the page of a hash router (`#/orders`); empty where there is none, or it is too long."""
    parts = _split(address)
    if parts is None or (parts.scheme and parts.scheme not in ("http", "https", "file", "app", "capacitor", "ionic")):
        return ""
    path = parts.path if parts.path.startswith("/") else "/" + parts.path if parts.netloc or parts.path else ""
    fragment = parts.fragment.partition("?")[0]
    if fragment.startswith(("/", "!/")):
        path = f"{path or '/'}#{fragment}"
    return path if len(path) <= MAX_ROUTE else ""


def find_host(address: str) -> str:
    """The host and port of ``address`` in lower case, or an empty text."""
    parts = _split(address)
    return parts.netloc.rpartition("@")[2].lower() if parts is not None else ""


def are_of_one_site(host: str, other: str) -> bool:
    """Whether both hosts, without port, end in the same two labels: `shop.example` and `api.shop.example`.

    Sites below a public suffix of two labels (`co.uk`) count as one, too: a request that is wrongly taken for another's loses a
    true failure, the opposite only a hint.
    """
    ours, theirs = host.partition(":")[0], other.partition(":")[0]
    if ours.rpartition(".")[2].isdigit() or theirs.rpartition(".")[2].isdigit():
        return ours == theirs
    return ours.split(".")[-2:] == theirs.split(".")[-2:]


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address[:8_192].strip())
    except ValueError:  # brackets that hold no IPv6 address
        return None
