"""Query strings: known names, each once, all problems at once."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qsl

from treadle.errors import InvalidInput, Problem
from treadle.web.request import Request

_MAX_PARAMETERS = 32
# ASCII only: int() and float() would take digits of other scripts, signs, underscores, "1e5" and "nan".
_WHOLE = re.compile(r"[0-9]{1,9}")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,30})?")


class Query:
    """The parameters of one request; reading them collects problems, ``check`` raises them together.

    A problem's pointer is ``/`` and the parameter's name: a GET has no body it could mean. ``blank_is_absent``: as a
    form sends its empty fields.
    """

    def __init__(self, request: Request, known: Collection[str] = (), *, blank_is_absent: bool = False) -> None:
        self._values: dict[str, str] = {}
        self.problems: list[Problem] = []
        if request.query:
            self._read(request.query, known)
        if blank_is_absent:
            self._values = {name: value for name, value in self._values.items() if value}

    def _read(self, query: bytes, known: Collection[str]) -> None:
        try:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        except ValueError:
            self.problems.append(Problem("", "too_many", f"at most {_MAX_PARAMETERS} query parameters"))
            return
        if any(name not in known for name, _ in pairs):
            words = f"the query parameters here are {', '.join(known)}" if known else "there are no parameters here"
            self.problems.append(Problem("", "unknown_parameter", words))
        for name, value in pairs:
            if name in self._values:
                self.refuse(name, "duplicate_parameter", "give it once")
            elif name in known:
                self._values[name] = value

    def refuse(self, name: str, code: str, detail: str) -> None:
        """Remember a problem with a parameter."""
        self.problems.append(Problem(f"/{name}", code, detail))

    def check(self) -> None:
        """Raises ``InvalidInput`` with everything that was found."""
        if self.problems:
            raise InvalidInput(self.problems)

    def text(self, name: str) -> str | None:
        """The parameter as it came; ``None`` where it is not given."""
        return self._values.get(name)

    def one_of(self, name: str, words: Collection[str]) -> str | None:
        """The parameter, which must be one of ``words``."""
        value = self._values.get(name)
        if value is not None and value not in words:
            self.refuse(name, "one_of", f"expected {' or '.join(words)}")
            return None
        return value

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self._values.get(name)
        if value is None:
            return default
        if not _WHOLE.fullmatch(value) or not low <= int(value) <= high:
            self.refuse(name, "range", f"expected a whole number from {low} to {high}")
            return default
        return int(value)

    def seconds(self, name: str, high: float) -> float:
        """Seconds from 0 to ``high``, fractions allowed; 0 where it is not given."""
        value = self._values.get(name)
        if value is None:
            return 0.0
        if not _DECIMAL.fullmatch(value) or float(value) > high:
            self.refuse(name, "range", f"expected seconds from 0 to {high:g}")
            return 0.0
        return float(value)
