"""Payload models: a msgspec Struct, a dataclass, a pydantic model or a dict, behind one small interface.

The same model checks at the door, checks again in the worker, and describes itself as JSON Schema.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Protocol, get_origin

import msgspec

from treadle.errors import InvalidInput, Problem, RegistrationError

MAX_REPORTED_PROBLEMS = 20


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
    if isinstance(annotation, type) and hasattr(annotation, "model_validate_json"):
        return _PydanticModel(annotation)
    is_struct = isinstance(annotation, type) and (
        issubclass(annotation, msgspec.Struct) or dataclasses.is_dataclass(annotation)
    )
    if is_struct or annotation is dict or get_origin(annotation) is dict:
        try:
            return _MsgspecModel(annotation)
        except TypeError as error:
            raise RegistrationError(f"the payload model {annotation!r} cannot be decoded from JSON: {error}") from None
    raise RegistrationError(
        f"the payload must be a msgspec.Struct, a dataclass, a pydantic model or a dict, not {annotation!r}"
    )


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
                Problem(pointer(*found["loc"]), _PYDANTIC_CODES.get(found["type"], found["type"]), found["msg"])
                for found in error.errors(include_input=False, include_url=False, include_context=False)
            ]
            raise InvalidInput(problems[:MAX_REPORTED_PROBLEMS]) from None

    def json_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self._model.model_json_schema()
        return schema


_PYDANTIC_CODES = {"missing": "required", "extra_forbidden": "unknown_field"}


def pointer(*parts: object) -> str:
    """A JSON Pointer (RFC 6901) from its unescaped parts; over-long member names are cut."""
    return "".join("/" + str(part)[:64].replace("~", "~0").replace("/", "~1") for part in parts)


def _all_problems(payload: bytes, model: Any) -> list[Problem]:
    """msgspec stops at the first problem; check each member alone to name one a member."""
    value = msgspec.json.decode(payload)
    if not isinstance(value, dict) or get_origin(model) is dict or model is dict:
        return []
    if dataclasses.is_dataclass(model):
        fields = [(f.name, f.required, f.type) for f in msgspec.inspect.type_info(model).fields]  # type: ignore[attr-defined]
        types = {f.name: f.type for f in dataclasses.fields(model)}
    else:
        fields = [(f.encode_name, f.required, f.type) for f in msgspec.structs.fields(model)]
        types = {f.encode_name: f.type for f in msgspec.structs.fields(model)}
    problems = [
        Problem(pointer(name), "required", "this member is required") for name, needed, _ in fields if needed and name not in value
    ]
    if isinstance(model, type) and issubclass(model, msgspec.Struct) and model.__struct_config__.forbid_unknown_fields:
        known = {name for name, _, _ in fields}
        problems += [
            Problem(pointer(name), "unknown_field", "no such member") for name in value if name not in known
        ]
    for name, _, _ in fields:
        if name not in value:
            continue
        try:
            msgspec.convert(value[name], types[name])
        except msgspec.ValidationError as error:
            found = _problem(str(error))
            problems.append(Problem(pointer(name) + found.pointer, found.code, found.detail))
        except (TypeError, InvalidInput):
            continue  # the whole-payload error will name it
    return problems


_PATH = re.compile(r"(?P<what>.*?)(?: - at `(?P<key>key in )?\$(?P<path>.*)`)?", re.DOTALL)
_PATH_PART = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>[0-9]+)\]|\[\.\.\.\]")
_CODES: tuple[tuple[str, str, str | None], ...] = (
    # how msgspec's sentence starts, our code, our words where msgspec's would repeat the value
    ("Object missing required field", "required", None),
    ("Object contains unknown field", "unknown_field", "there is a member that is not known here"),
    ("Invalid enum value", "one_of", "not one of the allowed values"),
    ("Invalid value", "one_of", "not one of the allowed values"),
    ("Expected `str` of length", "length", None),
    ("Expected `array` of length", "length", None),
    ("Expected `object` of length", "length", None),
    ("Expected `str` matching", "pattern", None),
    ("Expected `int` >", "range", None),
    ("Expected `int` <", "range", None),
    ("Expected `float` >", "range", None),
    ("Expected `float` <", "range", None),
    ("Expected", "type", None),
)


def _problem(sentence: str) -> Problem:
    match = _PATH.fullmatch(sentence)
    what, path = (match["what"], match["path"] or "") if match else (sentence, "")
    parts = [part["name"] or part["index"] or "*" for part in _PATH_PART.finditer(path)]
    for start, code, words in _CODES:
        if what.startswith(start):
            return Problem(pointer(*parts), code, words or what.replace("`", ""))
    return Problem(pointer(*parts), "invalid", what)
