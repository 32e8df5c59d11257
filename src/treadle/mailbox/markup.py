"""HTML in which every value is escaped unless it was made here.

The one place where a string becomes markup: ``fill``. Templates are files, values are arguments, and
no template is ever built from a value.
"""

from __future__ import annotations

import html
from pathlib import Path
from string import Template

_TEMPLATES = Path(__file__).parent / "templates"

# Shown as the pictures Unicode has for them, so that an escape sequence or a NUL is seen and does
# nothing. Tab and line feed stay; carriage returns only accompany line feeds.
_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
del _PICTURES[0x09], _PICTURES[0x0A]


class Html(str):
    """Markup, safe to put into markup. Only ``Templates.fill`` and ``join`` make it."""

    __slots__ = ()


class Templates:
    """The page templates, read once when made. Placeholders are ``$name``, a dollar sign is ``$$``."""

    def __init__(self) -> None:
        self._by_name = {path.stem: Template(path.read_text("utf-8")) for path in _TEMPLATES.glob("*.html")}

    def fill(self, name: str, /, **values: object) -> Html:
        """The template with each value escaped. ``KeyError`` where one is missing."""
        safe = {key: visible(value) for key, value in values.items()}
        return Html(self._by_name[name].substitute(safe))


def join(pieces: list[Html]) -> Html:
    """Several pieces of markup as one."""
    return Html("".join(pieces))


def visible(value: object) -> Html:
    """A value as text between tags or inside a quoted attribute; markup made here stays as it is."""
    if isinstance(value, Html):
        return value
    text = str(value).replace("\r\n", "\n").translate(_PICTURES)
    return Html(html.escape(text))
