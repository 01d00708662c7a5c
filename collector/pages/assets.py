"""``/assets/NAME``: the stylesheet and the scripts of the pages, from memory. They are public and hold no data."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import Request, Response

from collector.http_errors import ApiError
from collector.routes.route import Route, RouteGroup
from collector.routes.script import choose_coding
from collector.services import Services

FOLDER: Final = Path(__file__).parent / "static"
HTMX: Final = "htmx-2.0.8.min.js"
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file: its bytes, compressed bytes, media type, and the first 12 hex digits of its SHA-256."""

    plain: bytes
    packed: bytes
    media: str
    digest: str


@cache
def load_assets() -> dict[str, Asset]:
    """Every file of the folder that pages load, by name."""
    return {
        file.name: _load_asset(file) for file in sorted(FOLDER.iterdir()) if file.suffix in _TYPES and file.is_file()
    }


def asset_address(name: str) -> str:
    """The address of a file; it changes with its content, so that browsers may keep it."""
    return f"/assets/{name}?v={load_assets()[name].digest}"


class AssetEndpoint:
    """Serves the files."""

    def __init__(self, _: Services) -> None:
        self._assets = load_assets()

    async def show_asset(self, request: Request) -> Response:
        """One file. Raises ApiError (404)."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise ApiError(404, "not_found", "there is no such file")
        pinned = request.query_params.get("v") == asset.digest
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if pinned else "no-cache",
            "etag": f'"{asset.digest}"',
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "vary": "accept-encoding",
        }
        if asset.digest in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        packed = choose_coding(request.headers.get("accept-encoding", ""), {"gzip": asset.packed}) == "gzip"
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(asset.packed if packed else asset.plain, headers=headers, media_type=asset.media)


def _load_asset(file: Path) -> Asset:
    plain = file.read_bytes()
    digest = hashlib.sha256(plain).hexdigest()[:12]
    return Asset(plain, gzip.compress(plain, 9, mtime=0), _TYPES[file.suffix], digest)


GROUP: Final = RouteGroup(AssetEndpoint, (Route("get", "/assets/{name}", AssetEndpoint.show_asset),))
