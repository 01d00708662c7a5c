"""``GET /furrow.js`` and ``GET /furrow-VERSION.js``: the script for web pages. It is public and the same for everybody."""

from typing import Final

from fastapi import Request, Response

from collector.http_errors import ApiError
from collector.routes.route import Operation, Route, RouteGroup
from collector.services import Services
from core.browser_script import BrowserScript, installed_browser_script

CURRENT_CACHE: Final = "public, max-age=600, stale-while-revalidate=86400"
"""The newest script is asked for again after ten minutes; meanwhile, and while the collector is away, the old one serves."""
VERSIONED_CACHE: Final = "public, max-age=31536000, immutable"
_PUBLIC: Final = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "timing-allow-origin": "*",
    "vary": "accept-encoding",
    "x-content-type-options": "nosniff",
}


class ScriptEndpoints:
    """Serves the bundle from memory, in the form that was built for the browser's ``Accept-Encoding``."""

    def __init__(self, _: Services) -> None:
        self._script = installed_browser_script()

    async def show_current(self, request: Request) -> Response:
        """The script of this version of Furrow. Raises ApiError (503) where it was not built."""
        return _answer(self._require_script(), request, CURRENT_CACHE)

    async def show_version(self, request: Request) -> Response:
        """The script at its immutable address. Raises ApiError (404) for another version."""
        script = self._require_script()
        if request.path_params["version"] != script.version:
            message = f"this collector has /{script.versioned_name}; /furrow.js is always its current script"
            raise ApiError(404, "other_version", message)
        return _answer(script, request, VERSIONED_CACHE)

    def _require_script(self) -> BrowserScript:
        if self._script is None:
            message = "browser/dist/furrow.js is not in this installation: build it with `npm ci && npm run build` in browser/"
            raise ApiError(503, "script_not_built", message)
        return self._script


def _answer(script: BrowserScript, request: Request, cache: str) -> Response:
    coding = choose_coding(request.headers.get("accept-encoding", ""), script.encoded)
    tag = f'"{script.digest}{f"-{coding}" if coding else ""}"'
    headers = {**_PUBLIC, "cache-control": cache, "etag": tag}
    if _is_known(request.headers.get("if-none-match", ""), script.digest):
        return Response(status_code=304, headers=headers)
    if coding:
        headers["content-encoding"] = coding
    body = script.encoded[coding] if coding else script.plain
    return Response(body, headers=headers, media_type="text/javascript")


def choose_coding(accepted: str, built: "dict[str, bytes]") -> str:
    """The smallest of the ``built`` content codings that the header ``Accept-Encoding`` allows; '' for none."""
    allowed: dict[str, bool] = {}
    for entry in accepted.lower().split(","):
        name, _, parameter = (part.strip() for part in entry.partition(";"))
        allowed[name] = _is_positive(parameter.removeprefix("q="))
    fits = [coding for coding in built if allowed.get(coding, allowed.get("*", False))]
    return min(fits, key=lambda coding: len(built[coding]), default="")


def _is_positive(quality: str) -> bool:
    try:
        return float(quality or "1") > 0
    except ValueError:
        return False


def _is_known(sent: str, digest: str) -> bool:
    # Each coding has a tag of its own, and all of them are the same script.
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in sent.split(",")}
    return "*" in tags or any(tag.partition("-")[0] == digest for tag in tags)


_TEXT: Final = (
    "For the script tag of a web page (docs/browser.md has the line to paste). Compressed with brotli or gzip "
    "as the browser accepts."
)

GROUP: Final = RouteGroup(
    ScriptEndpoints,
    (
        Route(
            "get",
            "/furrow.js",
            ScriptEndpoints.show_current,
            Operation(
                tag="Script",
                summary="The script for web pages",
                text=_TEXT + " Browsers keep it for ten minutes and ask with its `ETag` after that.",
                answer=str,
                media="text/javascript",
                errors=(503,),
                needs_key=False,
            ),
            intake=True,
        ),
        Route(
            "get",
            "/furrow-{version}.js",
            ScriptEndpoints.show_version,
            Operation(
                tag="Script",
                summary="The script at an address that never changes",
                text=_TEXT + " Browsers keep it for a year. `furrow up` prints its version and its hash.",
                answer=str,
                media="text/javascript",
                errors=(404, 503),
                parameters=(
                    {
                        "name": "version",
                        "in": "path",
                        "required": True,
                        "description": "The version of the script.",
                        "schema": {"type": "string"},
                    },
                ),
                needs_key=False,
            ),
            intake=True,
        ),
    ),
)
