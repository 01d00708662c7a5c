"""The filters of the list of incidents, as they stand in its address."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from collector.http_errors import ApiError

TEXT_FILTERS: Final = ("q", "version", "environment", "browser")
PLAIN_FILTERS: Final = (
    "status",
    "severity",
    "project",
    "route",
    "owner",
    "owned",
    "exported",
    "held",
    "withdrawn",
    "since",
    "minScore",
)
_KNOWN: Final = frozenset((*TEXT_FILTERS, *PLAIN_FILTERS, "sort", "after"))
_MAX_TEXT: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class ListAddress:
    """The filters of the address, as they were entered; empty ones are left out."""

    values: tuple[tuple[str, str], ...]

    def link(self, **changes: str) -> str:
        """The address of the list with these filters instead ('' leaves one out). It begins at the first page."""
        kept = [(name, value) for name, value in self.values if name not in changes and name != "after"]
        query = urlencode([*kept, *((name, value) for name, value in changes.items() if value)])
        return f"/incidents?{query}" if query else "/incidents"

    def get(self, name: str) -> str:
        """The value of a filter; '' when it is not set."""
        return dict(self.values).get(name, "")

    @property
    def here(self) -> str:
        """The address of this page."""
        return f"/incidents?{urlencode(self.values)}" if self.values else "/incidents"

    def without_place(self) -> list[tuple[str, str]]:
        """The filters and the order, without the place in the list."""
        return [(name, value) for name, value in self.values if name != "after"]

    @property
    def has_filters(self) -> bool:
        """Whether anything but the order and the place in the list is set."""
        return any(name not in ("sort", "after") for name, _ in self.values)


def read_filters(parameters: Iterable[tuple[str, str]]) -> ListAddress:
    """The filters of the parameters of an address. Raises ApiError (400)."""
    merged: dict[str, str] = {}
    for name, text in parameters:
        if name not in _KNOWN:
            raise ApiError(400, "invalid_parameter", f"There is no filter `{_show(name)}`.")
        if len(text) > _MAX_TEXT or _CONTROL.search(text):
            raise ApiError(400, "invalid_parameter", f"`{name}` is text of at most {_MAX_TEXT} characters.")
        if text.strip():
            value = text.strip()
            merged[name] = f"{merged[name]},{value}" if name in merged and name in ("status", "severity") else value
    return ListAddress(tuple(merged.items()))


def _show(name: str) -> str:
    return _CONTROL.sub(" ", name[:40])
