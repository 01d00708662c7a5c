"""``GET /openapi.json``, and ``GET /docs``: the same document as a page of HTML.

FastAPI's own page loads its scripts from a CDN: it stays empty on a machine without internet, and runs foreign code beside
the operators' API. This page has no script.
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import anyio
import anyio.to_thread
from fastapi import Request, Response

from collector.http_errors import json_response
from collector.routes.openapi import OpenApiDocument, OperationObject
from collector.routes.route import JsonSchema, Parameter, Route, RouteGroup
from collector.services import Services

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}h3{margin:2rem 0 .3rem;font-size:1.05rem}
code,pre{font:13px/1.45 ui-monospace,monospace;background:#f3f3f1;border-radius:3px}code{padding:.1em .3em}
pre{padding:.7rem;overflow:auto}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;
padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e5e5e5}b.method{display:inline-block;min-width:3.2rem}
@media(prefers-color-scheme:dark){body{color:#e4e4e4;background:#161616}code,pre{background:#262626}a{color:#8ab4f8}}
"""


class DocumentationEndpoints:
    """The description of the API for programs and for people; the same for everyone, without a key."""

    def __init__(self, _: Services) -> None:
        self._document: OpenApiDocument | None = None
        self._page = ""
        self._building = anyio.Lock()

    async def show_openapi_document(self, request: Request) -> Response:
        """The OpenAPI document."""
        return json_response(await self._load_document(request))

    async def show_documentation(self, request: Request) -> Response:
        """The page; it may load and run nothing."""
        document = await self._load_document(request)
        self._page = self._page or render_documentation(document)
        headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
        return Response(self._page, media_type="text/html", headers=headers)

    async def _load_document(self, request: Request) -> OpenApiDocument:
        async with self._building:
            document = self._document
            if document is None:
                # In a thread: building the document takes a moment.
                loaded: OpenApiDocument = await anyio.to_thread.run_sync(request.app.openapi)
                self._document = document = loaded
            return document


def render_documentation(openapi_document: OpenApiDocument) -> str:
    """The document as a page of HTML."""
    info = openapi_document["info"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}: HTTP API</h1>",
        _render_paragraph(info["description"]),
    ]
    parts.append('<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>')
    tags: dict[str, list[str]] = {}
    for path, methods in openapi_document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append(_render_operation(method, path, operation))
    for tag, operations in tags.items():
        parts += [f"<h2>{escape(tag)}</h2>", *operations]
    parts.append("<h2>Shapes</h2>")
    for name, schema in sorted(openapi_document["components"]["schemas"].items()):
        parts += [f'<h3 id="{escape(name)}">{escape(name)}</h3>', _render_json(schema)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Furrow: HTTP API</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _render_operation(method: str, path: str, operation: OperationObject) -> str:
    parts = [
        f'<h3 id="{escape(operation["operationId"])}"><b class="method">{method.upper()}</b> '
        f"<code>{escape(path)}</code> {escape(operation['summary'])}</h3>",
        _render_paragraph(operation["description"] + ("" if operation["security"] else " No key is needed.")),
    ]
    rows = [
        (
            f"<code>{escape(parameter['name'])}</code>",
            escape(parameter.get("description", "")),
            _render_inline_schema(parameter),
        )
        for parameter in operation.get("parameters", ())
    ]
    if rows:
        parts.append(_render_table(rows))
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        parts += [f"<p>Body: {_render_shape(content['schema'])}, for example</p>", _render_json(content["example"])]
    parts.append(
        _render_table(
            (
                status,
                _render_code_marks(answer["description"]),
                " or ".join(_render_shape(content["schema"]) for content in answer["content"].values()),
            )
            for status, answer in operation["responses"].items()
        )
    )
    return "".join(parts)


def _render_inline_schema(parameter: Parameter) -> str:
    return f"<code>{escape(json.dumps(parameter['schema'], ensure_ascii=False))}</code>"


def _render_shape(schema: JsonSchema) -> str:
    match schema:
        case {"$ref": str(reference)}:
            name = escape(reference.rpartition("/")[2])
            return f'<a href="#{name}">{name}</a>'
        case {"allOf": list(parts)}:
            return " and ".join(_render_shape(part) for part in parts)
    return _render_json(schema)


def _render_json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _render_table(rows: Iterable[Sequence[str]]) -> str:
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _render_paragraph(text: str) -> str:
    return f"<p>{_render_code_marks(text)}</p>"


def _render_code_marks(text: str) -> str:
    parts = escape(text, quote=False).split("`")  # Markdown's code marks; every second part lies between two of them
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


GROUP: Final = RouteGroup(
    DocumentationEndpoints,
    (
        Route("get", "/openapi.json", DocumentationEndpoints.show_openapi_document),
        Route("get", "/docs", DocumentationEndpoints.show_documentation),
    ),
)
