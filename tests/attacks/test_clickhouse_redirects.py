"""A ClickHouse server that answers with a redirect: no query, and so no event, goes to where it points."""

from collections.abc import Iterator

import pytest

from core.errors import FurrowError
from stores.events.event_store import EventStore
from tests.fakes.server import Answer, Fake, Request


class Redirects(Fake):
    """Sends everybody to another server."""

    target = ""
    status = 307

    def handle(self, request: Request) -> Answer:
        return Answer(self.status, "", {"Location": f"{self.target}{request.path}"})


class Elsewhere(Fake):
    """What an attacker has there."""

    def handle(self, request: Request) -> Answer:
        return Answer(200, "")


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as fake:
        yield fake


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_takes_no_query_along(status: int, elsewhere: Elsewhere) -> None:
    with Redirects() as server:
        server.target, server.status = elsewhere.address, status
        store = EventStore(server.address.replace("http://", "clickhouse://furrow:the-password@") + "/furrow")
        with pytest.raises(FurrowError) as refused:
            store.migrate()
        store.close()
        assert server.requests
    assert elsewhere.requests == []
    assert "the-password" not in str(refused.value)
