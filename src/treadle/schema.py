"""Payload models: a msgspec Struct, a dataclass, a pydantic model or a dict, behind one small interface.

The same model checks at the door, checks again in the worker, and describes itself as JSON Schema.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, get_origin, get_type_hints

import msgspec

from treadle.errors import InvalidInput, Problem, RegistrationError

MAX_REPORTED_PROBLEMS = 20
REQUIRED = "this member is required"
ONE_OF = "not one of the allowed values"
UNKNOWN_MEMBER = "no such member"
UNKNOWN_HERE = "there is a member that is not known here"


class PayloadModel(Protocol):
    """What the house knows of a payload's shape."""

    def decode(self, payload: bytes) -> Any:
        """The typed payload. Raises ``InvalidInput`` with every problem, pointers relative to the payload."""
        ...

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12, self-contained."""
        ...


def model_for(annotation: Any) -> PayloadModel:
    """The model for a handler's annotation. Raises ``RegistrationError`` for what cannot be one."""
    is_struct = isinstance(annotation, type) and (
        issubclass(annotation, msgspec.Struct) or dataclasses.is_dataclass(annotation)
    )
    kind: type[_PydanticModel | _MsgspecModel]
    if isinstance(annotation, type) and hasattr(annotation, "model_validate_json"):
        kind = _PydanticModel
    elif is_struct or annotation is dict or get_origin(annotation) is dict:
        kind = _MsgspecModel
    else:
        raise RegistrationError(
            f"the payload must be a msgspec.Struct, a dataclass, a pydantic model or a dict, not {annotation!r}"
        )
    try:
        model = kind(annotation)
        msgspec.json.encode(model.json_schema())  # now, at a desk, and not when it is published
    except Exception as error:
        why = " ".join(str(error).split())
        raise RegistrationError(
            f"the payload model {annotation!r} cannot be read from JSON or described as JSON Schema: {why}; "
            "give its members JSON types, and define or import what they name at module level, above the model"
        ) from None
    return model


class _MsgspecModel:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._decoder = msgspec.json.Decoder(model)

    def decode(self, payload: bytes) -> Any:
        try:
            return self._decoder.decode(payload)
        except msgspec.ValidationError as error:
            problems = _all_problems(payload, self._model) or [_problem(str(error))]
            raise InvalidInput(problems[:MAX_REPORTED_PROBLEMS]) from None

    def json_schema(self) -> dict[str, Any]:
        return msgspec.json.schema(self._model)


class _PydanticModel:
    def __init__(self, model: Any) -> None:
        self._model = model

    def decode(self, payload: bytes) -> Any:
        try:
            return self._model.model_validate_json(payload)
        except ValueError as error:
            if not hasattr(error, "errors"):
                raise
            problems = [
                Problem(
                    pointer(*found["loc"]),
                    _PYDANTIC_CODES.get(found["type"], found["type"]),
                    _PYDANTIC_WORDS.get(found["type"], found["msg"]),
                )
                for found in error.errors(include_input=False, include_url=False, include_context=False)
            ]
            raise InvalidInput(problems[:MAX_REPORTED_PROBLEMS]) from None

    def json_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self._model.model_json_schema()
        return schema


_PYDANTIC_CODES = {"missing": "required", "extra_forbidden": "unknown_field"}
# Our words where pydantic's would repeat the value (pydantic 2.14: those of its messages that hold a value's text).
_PYDANTIC_WORDS = {
    "base64_decode": "not base64",
    "byte_size_unit": "not a size in bytes",
    "import_error": "not the path of a Python object",
    "union_tag_invalid": "not one of the allowed values",
    "zoneinfo_str": "not a time zone",
}


def pointer(*parts: object) -> str:
    """A JSON Pointer (RFC 6901) from its unescaped parts; over-long member names are cut."""
    return "".join("/" + str(part)[:64].replace("~", "~0").replace("/", "~1") for part in parts)


def _all_problems(payload: bytes, model: Any) -> list[Problem]:
    """msgspec stops at the first problem; check each member alone to name one a member."""
    if get_origin(model) is dict or model is dict:
        return []
    try:
        given = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:  # no object
        return []
    members = _members(model)
    problems = [
        Problem(pointer(name), "required", REQUIRED) for name, needed, _ in members if needed and name not in given
    ]
    config = model.__struct_config__ if issubclass(model, msgspec.Struct) else None
    if config is not None and config.forbid_unknown_fields:
        known = {name for name, _, _ in members} | {config.tag_field}
        problems += [Problem(pointer(name), "unknown_field", UNKNOWN_MEMBER) for name in given if name not in known]
    if config is not None and config.tag_field in given and msgspec.json.decode(given[config.tag_field]) != config.tag:
        problems.append(Problem(pointer(config.tag_field), "one_of", ONE_OF))
    right: dict[str, Any] = {}
    for name, _, annotation in members:
        if name not in given:
            continue
        try:
            right[name] = msgspec.json.decode(given[name], type=annotation)
        except msgspec.ValidationError as error:
            found = _problem(str(error))
            problems.append(Problem(pointer(name) + found.pointer, found.code, found.detail))
    contents: Callable[[Mapping[str, Any]], Iterable[Problem]] | None = getattr(model, CONTENT_PROBLEMS, None)
    return problems if contents is None else [*problems, *contents(right)]


CONTENT_PROBLEMS = "content_problems"
"""A class method that a payload's class may have: what is wrong inside the members it is handed, by their names in
JSON. They are those that were given and are of the right type. Called only where another member is missing or wrong:
``__post_init__``, which has all of them, would then never be reached, and say nothing.
"""


def _members(model: Any) -> list[tuple[str, bool, Any]]:
    """Each member's name in JSON, whether it is required, and its annotation, resolved."""
    if dataclasses.is_dataclass(model):
        hints = get_type_hints(model, include_extras=True)
        described: Any = msgspec.inspect.type_info(model)
        return [(field.name, field.required, hints[field.name]) for field in described.fields]
    return [(field.encode_name, field.required, field.type) for field in msgspec.structs.fields(model)]


# The path holds the model's own names alone, so never a backtick; a client's member name before it may.
_PATH = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_PATH_PART = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>[0-9]+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_CODES: tuple[tuple[str, str, str | None], ...] = (
    # how msgspec's sentence starts, our code, our words where msgspec's would repeat the value
    ("Object contains unknown field", "unknown_field", UNKNOWN_HERE),
    ("Invalid enum value", "one_of", ONE_OF),
    ("Invalid value", "one_of", ONE_OF),
    ("Expected `str` of", "length", None),
    ("Expected `bytes` of", "length", None),
    ("Expected `array` of", "length", None),
    ("Expected `object` of", "length", None),
    ("Expected `str` matching", "pattern", None),
    ("Expected `int` >", "range", None),
    ("Expected `int` <", "range", None),
    ("Expected `int` that", "range", None),
    ("Expected `float` >", "range", None),
    ("Expected `float` <", "range", None),
    ("Expected `float` that", "range", None),
    ("Expected", "type", None),
)


def _problem(sentence: str) -> Problem:
    match = _PATH.fullmatch(sentence)
    what, path, is_key = (match["what"], match["path"] or "", match["key"]) if match else (sentence, "", None)
    parts = [part["name"] or part["index"] or "*" for part in _PATH_PART.finditer(path)]
    if (missing := _MISSING.fullmatch(what)) is not None:
        return Problem(pointer(*parts, missing["name"]), "required", REQUIRED)
    for start, code, words in _CODES:
        if what.startswith(start):
            detail = words or what.replace("`", "")
            return Problem(pointer(*parts), code, f"{detail}, as a key" if is_key else detail)
    return Problem(pointer(*parts), "invalid", what)
