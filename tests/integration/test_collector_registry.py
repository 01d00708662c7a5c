"""A new endpoint: one route module and one line in the registry; everything else follows from its declaration."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import Request, Response
from pydantic import BaseModel
from typing_extensions import TypedDict

from collector.http_errors import json_response
from collector.routes import registry
from collector.routes.route import BODY_STATUSES, Operation, Route, RouteGroup
from collector.services import Services
from collector.transport.body import validate_body
from tests.integration.test_collector import OPERATOR, code, config_for, serving
from tests.unit.scripts.test_docs import described_endpoints, served_endpoints

PATH = "/v1/echoes/{name}"


class EchoRequest(BaseModel):
    """What is repeated."""

    words: list[str]


class Words(TypedDict):
    words: list[str]
    """The words of the body."""


class Echo(Words):
    """What was sent, again."""

    name: str
    """The name in the path."""


class EchoEndpoints:
    def __init__(self, services: Services) -> None:
        self._gate = services.gate
        self._doorway = services.make_doorway(2)

    async def repeat_words(self, request: Request) -> Response:
        return await self._doorway.answer_request(request, self._repeat_words)

    async def _repeat_words(self, request: Request) -> Response:
        self._gate.require_operator(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(EchoRequest, body.content)
        answer: Echo = {"name": request.path_params["name"], "words": sent.words}
        return json_response(answer)


GROUP = RouteGroup(
    EchoEndpoints,
    (
        Route(
            "post",
            PATH,
            EchoEndpoints.repeat_words,
            Operation(
                tag="Operation",
                summary="Repeat words",
                text="Answers what was sent.",
                answer=Echo,
                errors=BODY_STATUSES,
                body=EchoRequest,
                example={"words": ["a", "b"]},
                parameters=({"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},),
            ),
        ),
    ),
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "GROUPS", (*registry.GROUPS, GROUP))


@pytest.fixture
def client(tmp_path: Path, registered: None) -> Iterator[httpx.Client]:
    with serving(config_for(tmp_path)) as made:
        yield made


def test_it_answers_and_validates(client: httpx.Client) -> None:
    answer = client.post("/v1/echoes/hall", json={"words": ["a", "b"]}, headers=OPERATOR)
    assert (answer.status_code, answer.json()) == (200, {"name": "hall", "words": ["a", "b"]})
    refused = client.post("/v1/echoes/hall", json={"words": "a"}, headers=OPERATOR)
    assert (refused.status_code, code(refused)) == (400, "invalid_body")
    assert client.post("/v1/echoes/hall", json={"words": []}).status_code == 401
    assert client.get("/v1/echoes/hall", headers=OPERATOR).headers["allow"] == "POST"


def test_it_is_in_the_openapi_document_and_on_the_page(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    described = document["paths"][PATH]["post"]
    assert described["operationId"] == "post_echoes_name"
    assert set(described["responses"]) == {"200", *map(str, BODY_STATUSES), "405", "429", "500"}
    schemas = document["components"]["schemas"]
    assert schemas["Echo"]["description"] == "What was sent, again."
    assert schemas["Echo"]["properties"]["name"]["description"] == "The name in the path."
    assert schemas["Echo"]["properties"]["words"]["description"] == "The words of the body."
    assert "Words" not in schemas
    assert schemas["EchoRequest"]["required"] == ["words"]
    page = client.get("/docs").text
    assert f"<code>{PATH}</code> Repeat words" in page
    assert '<h3 id="Echo">Echo</h3>' in page


def test_the_documentation_test_names_it_as_missing(tmp_path: Path, registered: None) -> None:
    assert served_endpoints(tmp_path) - described_endpoints() == {f"POST {PATH}"}


def test_it_is_not_served_where_the_api_is_switched_off(tmp_path: Path, registered: None) -> None:
    with serving(config_for(tmp_path, api=False)) as client:
        answer = client.post("/v1/echoes/hall", json={"words": []}, headers=OPERATOR)
        assert (answer.status_code, code(answer)) == (404, "not_found")
