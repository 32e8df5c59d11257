"""HTML: templates in which every value is escaped, and the answer that carries a page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from treadle.admin import wording
from treadle.admin.assets import Assets

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    # Not no-referrer: with it a browser names no origin when it sends a form, and over plain HTTP from another
    # machine the origin is all that tells our own forms from another site's.
    "Referrer-Policy": "same-origin",
}

# Control characters, and what turns the direction of text around, are written as escapes, as log lines have them: seen,
# and without effect. Tab and line feed stay.
_CONTROLS = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}


class Html:
    """The pages' templates, read when they are first used."""

    def __init__(self, assets: Assets) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"asset": assets.address, "scripts": assets.are_complete}
        self._templates.filters |= {
            "span": wording.span,
            "exact": wording.exact,
            "tally": wording.tally,
            "size": wording.size,
            "number": wording.number,
            "iso": _iso,
        }

    def page(self, name: str, status_code: int = 200, **values: Any) -> Response:
        """The page that the template ``name`` makes of ``values``."""
        text = self._templates.get_template(f"{name}.html").render(values)
        return Response(text, status_code, PAGE_HEADERS, "text/html")


def visible(value: object) -> object:
    """Text with nothing in it that acts instead of being read."""
    return value.translate(_ESCAPES) if isinstance(value, str) and not isinstance(value, Markup) else value


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
