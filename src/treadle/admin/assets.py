"""Style sheets and scripts: read once, served from memory, under an address that changes with their contents."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from starlette.responses import Response

from treadle.errors import NotFound
from treadle.web.request import Request

logger = logging.getLogger("treadle.admin")

PREFIX = "/admin/ui/static"

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_VENDOR = ("vendor/htmx.min.js", "vendor/uPlot.iife.min.js", "vendor/uPlot.min.css")


class Assets:
    """All files of ``static``. The version stands in the path, so that modules find each other by relative names."""

    def __init__(self) -> None:
        found = [path for path in sorted(_FOLDER.rglob("*")) if path.suffix in _MEDIA_TYPES]
        self._bodies = {path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in found}
        digest = hashlib.sha256()
        for name, body in self._bodies.items():
            digest.update(f"{name} {len(body)}\n".encode() + body)
        self.version = digest.hexdigest()[:12]
        self.are_complete = all(name in self._bodies for name in _VENDOR)
        if not self.are_complete:
            logger.warning("the admin page has no scripts here: run scripts/setup; it works without them, but not live")

    def address(self, name: str) -> str:
        """Where a page finds ``name``."""
        return f"{PREFIX}/{self.version}/{name}"

    async def get(self, request: Request) -> Response:
        """``GET /admin/ui/static/{version}/{name}``."""
        name = request.path("name")
        body = self._bodies.get(name)
        if body is None:
            raise NotFound("no such file")
        # Another version: a page from before an upgrade, or from a replica that has not had it. Served, never kept.
        is_current = request.path("version") == self.version
        keep = "private, max-age=31536000, immutable" if is_current else "no-store"
        return Response(body, headers={"Cache-Control": keep}, media_type=_MEDIA_TYPES[Path(name).suffix])
