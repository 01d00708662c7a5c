"""What a route module declares: where a route is, what serves it, and how the OpenAPI document describes it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, NotRequired, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel
from typing_extensions import TypedDict

from collector.services import Services

BODY_STATUSES = (400, 401, 403, 408, 413, 415, 503)
"""The error statuses of every route that reads a body and needs a key."""

JsonSchema = Mapping[str, object]
Handler = Callable[[Request], Awaitable[Response]]
Tag = Literal["Events", "Script", "Incidents", "Exceptions", "Operation"]
Endpoints = TypeVar("Endpoints")

# `in` is a keyword of Python, so that this is not a class.
Parameter = TypedDict(
    "Parameter",
    {
        "name": str,
        "in": Literal["path", "query", "header"],
        "description": NotRequired[str],
        "required": NotRequired[bool],
        "schema": JsonSchema,
        "example": NotRequired[str],
        "style": NotRequired[str],
        "explode": NotRequired[bool],
    },
)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The description of a route in the OpenAPI document.

    ``answer``: the type of the JSON that a successful request gets, or a function that imports and returns it: types of
    the engine are imported when the document is built, so that the collector starts without the engine. ``errors``: the
    error statuses besides 405, 500 and, where the route needs a key, 429. ``body``: the model that validates the request
    body, or its JSON Schema.
    """

    tag: Tag
    summary: str
    text: str
    answer: type | Callable[[], type]
    errors: tuple[int, ...]
    status: int = 200
    body: type[BaseModel] | JsonSchema | None = None
    example: object = None
    parameters: tuple[Parameter, ...] = ()
    needs_key: bool = True
    media: str = "application/json"
    """The media type of a successful answer; of another than JSON, ``answer`` is ``str``."""
    answers_despite: frozenset[int] = frozenset()
    """Error statuses whose body holds the answer beside the error."""

    @property
    def answer_type(self) -> type:
        """The type of a successful answer; imports it where it is declared as a function."""
        return self.answer if isinstance(self.answer, type) else self.answer()


@dataclass(frozen=True, eq=False)
class Route(Generic[Endpoints]):
    """One method at one path.

    ``handler``: called with the endpoint object of its group and the request; it may raise ApiError. ``operation``: None
    leaves the route out of the OpenAPI document. ``intake``: the route is served when the operators' API is switched
    off, too, and at any host name where the configuration allows that for intake. ``hot``: the route is served before
    FastAPI (`collector.app.DirectRoutes`); its path has no parameters.
    """

    method: Literal["get", "post", "options"]
    path: str
    handler: Callable[[Endpoints, Request], Awaitable[Response]]
    operation: Operation | None = None
    intake: bool = False
    hot: bool = False


@dataclass(frozen=True, eq=False)
class RouteGroup(Generic[Endpoints]):
    """The routes that one endpoint object serves. ``create`` makes that object when the application starts."""

    create: Callable[[Services], Endpoints]
    routes: tuple[Route[Endpoints], ...]

    def bind_handlers(self, services: Services) -> dict[Route[Any], Handler]:
        """The handler of each route, bound to a new endpoint object."""
        endpoints = self.create(services)
        return {route: partial(route.handler, endpoints) for route in self.routes}


def list_routes(groups: Iterable[RouteGroup[Any]]) -> list[Route[Any]]:
    """All routes of ``groups``, in their order."""
    return [route for group in groups for route in group.routes]
