"""The requests of hot routes: a header field is found in one step.

Starlette searches all fields, and decodes what it finds, for each name; a batch of events asks for twenty names.
"""

from typing import Any, Final

from fastapi import Request
from starlette.datastructures import Address, Headers
from starlette.types import Receive, Scope, Send

_ABSENT: Final[list[str]] = []


class IndexedHeaders(Headers):
    """Header fields by name; names are in lower case, as in the fields of an ASGI scope."""

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=fields)
        self._values: dict[str, list[str]] = {}
        for name, value in fields:
            self._values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def get(self, key: str, default: Any = None) -> Any:
        """The first value of a field, else ``default``."""
        found = self._values.get(key)
        return default if found is None else found[0]

    def getlist(self, key: str) -> list[str]:
        """All values of a field."""
        return self._values.get(key, _ABSENT).copy()

    def __getitem__(self, key: str) -> str:
        return self._values[key][0]

    def __contains__(self, key: Any) -> bool:
        return key in self._values


class HotRequest(Request):
    """A request of a hot route."""

    # Starlette's are properties, which make the value for each reader.
    headers: Headers = Headers()
    client: Address | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.headers = IndexedHeaders(scope["headers"])
        client = scope.get("client")
        self.client = None if client is None else Address(*client)
