"""A payload's shape known by its JSON Schema alone: for types whose code is in another process.

Whether a payload fits is the library's word. Why it does not is found here, by asking the library about parts: its own
list of errors is whole before the first one can be read, each with the value in its words (a million wrong items: 51 s
and 1.5 GB), and is exponential for unions that contain themselves. So a report is made as the typed models make theirs:
every member that is missing or unknown, and the first problem within each of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

from treadle.errors import InvalidInput, Problem
from treadle.schema import MAX_REPORTED_PROBLEMS, ONE_OF, REQUIRED, UNKNOWN_HERE, UNKNOWN_MEMBER, pointer

Schema = Mapping[str, Any]
Path = tuple[object, ...]

_OFFLINE = True
"""A ``$ref`` to an address or a file is refused at once, and nothing is fetched."""
_LINEAR = jsonschema_rs.RegexOptions()
"""Time is linear in the text; the library's other engine goes back and forth, and a payload may be hostile."""
_MISFIT = "does not fit the schema of this type"
_MAX_REFERENCES = 32
# By keyword: how schemas stand in its value. Anything else is no schema and must not be walked into.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SINGLE = frozenset(
    {"items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
# Left out, because the models do not assert them either: a set takes repeated items (and telling these apart is the one
# keyword that takes seconds), and a time is what the model's own reader takes, which is more than RFC 3339.
_IGNORED = frozenset(
    {"uniqueItems", "format", "contentEncoding", "contentMediaType", "contentSchema"}
    | {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"}
)
_LIMITS: tuple[tuple[str, str, str], ...] = (
    # keyword, our code, msgspec's words for it
    ("minimum", "range", "Expected {kind} >= {limit}"),
    ("exclusiveMinimum", "range", "Expected {kind} > {limit}"),
    ("maximum", "range", "Expected {kind} <= {limit}"),
    ("exclusiveMaximum", "range", "Expected {kind} < {limit}"),
    ("multipleOf", "range", "Expected {kind} that's a multiple of {limit}"),
    ("minLength", "length", "Expected str of length >= {limit}"),
    ("maxLength", "length", "Expected str of length <= {limit}"),
    ("minItems", "length", "Expected array of length >= {limit}"),
    ("maxItems", "length", "Expected array of length <= {limit}"),
    ("minProperties", "length", "Expected object of length >= {limit}"),
    ("maxProperties", "length", "Expected object of length <= {limit}"),
    ("pattern", "pattern", "Expected str matching regex {limit!r}"),
)
# Of whole numbers the models say ``>= 1`` where the schema says ``> 0``.
_INCLUSIVE = {
    "exclusiveMinimum": ("Expected {kind} >= {limit}", 1),
    "exclusiveMaximum": ("Expected {kind} <= {limit}", -1),
}
_WORDS = {"integer": "int", "number": "float", "string": "str", "boolean": "bool"}  # the others: by their own names


class JsonSchemaModel:
    """Implements ``PayloadModel`` by a JSON Schema 2020-12. Raises ``ValueError`` for one that cannot be used."""

    def __init__(self, schema: str) -> None:
        self._schema: dict[str, Any] = msgspec.json.decode(schema, type=dict[str, Any])
        plain: dict[str, Any] = _plain(self._schema)
        try:
            self._whole = jsonschema_rs.validator_for(plain, offline=_OFFLINE, pattern_options=_LINEAR)
            self._parts = jsonschema_rs.validator_map_for(plain, offline=_OFFLINE, pattern_options=_LINEAR)
        except jsonschema_rs.ReferencingError as error:
            raise ValueError(str(error)) from error
        self._nodes = _nodes(plain)

    def decode(self, payload: bytes) -> Any:
        """See ``PayloadModel.decode``: JSON values, and members that are not given stay so."""
        value = msgspec.json.decode(payload)
        if not self._whole.is_valid(value):
            try:
                problems = list(islice(self._problems(value), MAX_REPORTED_PROBLEMS))
            except RecursionError:  # a schema that refers to itself without end
                problems = []
            raise InvalidInput(problems or [Problem("", "invalid", _MISFIT)])
        return value

    def json_schema(self) -> dict[str, Any]:
        """See ``PayloadModel.json_schema``."""
        return self._schema

    def _problems(self, payload: Any) -> Iterator[Problem]:
        at, node = self._resolved("#")
        if not isinstance(payload, dict) or "properties" not in node:
            if (found := self._first("#", payload, ())) is not None:
                yield found
            return
        for name in node.get("required", ()):
            if name not in payload:
                yield Problem(pointer(name), "required", REQUIRED)
        for name in payload:
            member = self._member(at, node, name)
            if member is None:
                continue
            if self._nodes[member] is False:
                yield Problem(pointer(name), "unknown_field", UNKNOWN_MEMBER)
            elif (found := self._first(member, payload[name], (name,))) is not None:
                yield found

    def _first(self, at: str, value: Any, path: Path) -> Problem | None:
        """The first problem of ``value`` with the part of the schema at the pointer ``at``; ``None``: it fits."""
        if self._parts[at].is_valid(value):
            return None
        at, node = self._resolved(at)
        return (
            self._wrong_kind(at, value, path)
            or _wrong_word(node, value, path)
            or _beyond_limit(node, value, path)
            or self._in_members(at, node, value, path)
            or self._in_items(at, node, value, path)
            or self._in_branches(at, node, value, path)
            or Problem(pointer(*path), "invalid", _MISFIT)
        )

    def _resolved(self, at: str) -> tuple[str, Schema]:
        """Where the part at ``at`` really stands, behind its references, and what it says."""
        node = self._nodes.get(at, {})
        for _ in range(_MAX_REFERENCES):
            if not isinstance(node, dict) or node.get("$ref") not in self._nodes:
                break
            at = node["$ref"]
            node = self._nodes[at]
        return at, node if isinstance(node, dict) else {}

    def _member(self, at: str, node: Schema, name: str) -> str | None:
        """The pointer to the schema of a member; ``None`` where none is named, or a pattern might be."""
        if name in node.get("properties", ()):
            return f"{at}/properties/{_escaped(name)}"
        if "additionalProperties" in node and "patternProperties" not in node:
            return f"{at}/additionalProperties"
        return None

    def _wrong_kind(self, at: str, value: Any, path: Path) -> Problem | None:
        kinds = self._kinds(at)
        if not kinds or any(_is(kind, value) for kind in kinds):
            return None
        expected = " | ".join(dict.fromkeys(_WORDS.get(kind, kind) for kind in kinds))
        return Problem(pointer(*path), "type", f"Expected {expected}, got {_kind(value)}")

    def _kinds(self, at: str, depth: int = 0) -> list[str]:
        """What a value may be at all, by JSON Schema's names; empty: anything."""
        at, node = self._resolved(at)
        if "type" in node:
            return [node["type"]] if isinstance(node["type"], str) else list(node["type"])
        if (options := _options(node)) is not None:
            return list(dict.fromkeys(_KINDS[type(option)] for option in options))
        found: list[str] = []
        for branch in self._branches(at, node):
            kinds = self._kinds(branch, depth + 1) if depth < _MAX_REFERENCES else []
            if not kinds:
                return []
            found += kinds
        return found

    def _in_members(self, at: str, node: Schema, value: Any, path: Path) -> Problem | None:
        if not isinstance(value, dict):
            return None
        for name, given in value.items():
            member = self._member(at, node, name)
            if member is None:
                continue
            if self._nodes[member] is False:
                return Problem(pointer(*path), "unknown_field", UNKNOWN_HERE)  # its name is not repeated
            is_named = name in node.get("properties", ())
            if (found := self._first(member, given, (*path, name if is_named else "*"))) is not None:
                return found
        for name in node.get("required", ()):
            if name not in value:
                return Problem(pointer(*path, name), "required", REQUIRED)
        return None

    def _in_items(self, at: str, node: Schema, value: Any, path: Path) -> Problem | None:
        if not isinstance(value, list):
            return None
        before = len(node.get("prefixItems", ()))
        for index, item in enumerate(value[:before]):
            if (found := self._first(f"{at}/prefixItems/{index}", item, (*path, index))) is not None:
                return found
        if isinstance(node.get("items"), dict):
            fits = self._parts[f"{at}/items"].is_valid  # looked up once: there may be a million items
            for index in range(before, len(value)):
                if not fits(value[index]):
                    return self._first(f"{at}/items", value[index], (*path, index))
        return None

    def _in_branches(self, at: str, node: Schema, value: Any, path: Path) -> Problem | None:
        for number in range(len(node.get("allOf", ()))):
            if (found := self._first(f"{at}/allOf/{number}", value, path)) is not None:
                return found
        branches = [branch for branch in self._branches(at, node) if self._wrong_kind(branch, value, path) is None]
        if len(branches) > 1 and isinstance(value, dict):
            return self._by_tag(branches, value, path)
        return self._first(branches[0], value, path) if len(branches) == 1 else None

    def _branches(self, at: str, node: Schema) -> list[str]:
        return [f"{at}/{word}/{number}" for word in ("anyOf", "oneOf") for number in range(len(node.get(word, ())))]

    def _by_tag(self, branches: list[str], value: dict[str, Any], path: Path) -> Problem | None:
        """The first problem of one of several kinds of objects, told apart by a member that is a constant in each."""
        resolved = [self._resolved(branch) for branch in branches]
        for name in resolved[0][1].get("properties", ()):
            tags = [f"{at}/properties/{_escaped(name)}" for at, _ in resolved]
            if not all(len(_options(self._resolved(tag)[1]) or ()) == 1 for tag in tags):
                continue
            if name not in value:
                return Problem(pointer(*path, name), "required", REQUIRED)
            meant = [b for b, tag in zip(branches, tags, strict=True) if self._parts[tag].is_valid(value[name])]
            if not meant:
                return Problem(pointer(*path, name), "one_of", ONE_OF)
            return self._first(meant[0], value, path) if len(meant) == 1 else None
        return None


_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def _is(kind: str, value: Any) -> bool:
    own = _KINDS[type(value)]
    if own in ("integer", "number"):
        return kind == "number" or (kind == "integer" and value == int(value))
    return kind == own


def _kind(value: Any) -> str:
    kind = _KINDS[type(value)]
    return _WORDS.get(kind, kind)


def _options(node: Schema) -> list[Any] | None:
    return [node["const"]] if "const" in node else node.get("enum")


def _wrong_word(node: Schema, value: Any, path: Path) -> Problem | None:
    options = _options(node)
    if options is None or _alone({"enum": options}, value):
        return None
    return Problem(pointer(*path), "one_of", ONE_OF)


def _beyond_limit(node: Schema, value: Any, path: Path) -> Problem | None:
    for keyword, code, words in _LIMITS:
        if keyword in node and not _alone({keyword: node[keyword]}, value):
            return Problem(pointer(*path), code, _limit_words(keyword, words, node, value))
    return None


def _limit_words(keyword: str, words: str, node: Schema, value: Any) -> str:
    limit = node[keyword]
    if node.get("type") == "integer" and keyword in _INCLUSIVE:
        words, step = _INCLUSIVE[keyword]
        limit += step
    elif node.get("type") == "number":
        limit = float(limit)
    elif keyword in ("minItems", "maxItems") and node.get("minItems") == node.get("maxItems"):
        words = "Expected array of length {limit}"
    kind = node.get("type") if node.get("type") in _WORDS else _KINDS[type(value)]
    return words.format(kind=_WORDS.get(str(kind), kind), limit=limit)


def _alone(node: dict[str, Any], value: Any) -> bool:
    """Whether ``value`` fits this one keyword."""
    return jsonschema_rs.Draft202012Validator(node, offline=_OFFLINE, pattern_options=_LINEAR).is_valid(value)


def _plain(schema: Any) -> Any:
    """``schema`` without what is not asserted here, and without patterns that need backtracking."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _IGNORED or (keyword == "pattern" and not _is_linear(value)):
            continue
        if keyword in _NAMED and isinstance(value, dict):
            kept[keyword] = {name: _plain(part) for name, part in value.items()}
        elif keyword in _LISTED and isinstance(value, list):
            kept[keyword] = [_plain(part) for part in value]
        else:
            kept[keyword] = _plain(value) if keyword in _SINGLE else value
    return kept


def _is_linear(pattern: object) -> bool:
    """Whether the linear engine takes it; it has no look-around and no references back."""
    try:
        _alone({"pattern": pattern}, "")
    except ValueError:
        return False
    return True


def _nodes(schema: Any) -> dict[str, Any]:
    """Every schema inside ``schema`` by its pointer, as the library names its parts."""
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("#", schema)]
    while waiting:
        at, node = waiting.pop()
        found[at] = node
        if isinstance(node, dict):
            waiting += _parts(at, node)
    return found


def _parts(at: str, node: Schema) -> Iterable[tuple[str, Any]]:
    for keyword, value in node.items():
        if keyword in _NAMED and isinstance(value, dict):
            yield from ((f"{at}/{keyword}/{_escaped(name)}", part) for name, part in value.items())
        elif keyword in _LISTED and isinstance(value, list):
            yield from ((f"{at}/{keyword}/{number}", part) for number, part in enumerate(value))
        elif keyword in _SINGLE:
            yield f"{at}/{keyword}", value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
