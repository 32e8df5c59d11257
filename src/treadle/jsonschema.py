"""Payloads against a published JSON Schema: the same answers as the type's own model gives, without its code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.errors import Problem
from treadle.schema import MAX_REPORTED_PROBLEMS, ONE_OF, REQUIRED, UNKNOWN_FIELD, pointer

if TYPE_CHECKING:
    import jsonschema_rs

Check = Callable[[bytes], list[Problem]]
"""Every problem of a payload that is JSON, with pointers from the payload's own root."""

_TYPES = {"integer": "int", "number": "float", "string": "str", "boolean": "bool"}
_WORDS = {
    "MinLength": ("length", "Expected `str` of length >= {}"),
    "MaxLength": ("length", "Expected `str` of length <= {}"),
    "MinItems": ("length", "Expected `array` of length >= {}"),
    "MaxItems": ("length", "Expected `array` of length <= {}"),
    "MinProperties": ("length", "Expected `object` of length >= {}"),
    "MaxProperties": ("length", "Expected `object` of length <= {}"),
    "Pattern": ("pattern", "Expected `str` matching regex {!r}"),
    "Minimum": ("range", "Expected a number >= {}"),
    "Maximum": ("range", "Expected a number <= {}"),
    "ExclusiveMinimum": ("range", "Expected a number > {}"),
    "ExclusiveMaximum": ("range", "Expected a number < {}"),
    "MultipleOf": ("range", "Expected a number that's a multiple of {}"),
    "UniqueItems": ("unique", "Expected `array` without repeated elements"),
    "Enum": ("one_of", ONE_OF),
    "Constant": ("one_of", ONE_OF),
    "AnyOf": ("type", "Expected one of the types that are allowed here"),
    "OneOfNotValid": ("type", "Expected one of the types that are allowed here"),
    "OneOfMultipleValid": ("type", "Expected exactly one of the types that are allowed here"),
}
"""Kind of error: our code, and words that never repeat the payload's own."""


def compile_schema(schema: bytes) -> Check:
    """A check for the JSON Schema ``schema``. Raises ``ValueError`` where it cannot be one, or asks for another file.

    ``format`` is an annotation, as it is for the models. Regular expressions run on an engine whose time is linear
    in the text (no backtracking): the text is a stranger's.
    """
    # Here, because most processes know all their types themselves, and the engine takes megabytes.
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(
            msgspec.json.decode(schema),
            validate_formats=False,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except Exception as error:  # the library raises several kinds, and what user code published is not ours to trust
        raise ValueError(f"not a JSON Schema that can be checked here: {' '.join(str(error).split())[:300]}") from None

    def check(payload: bytes) -> list[Problem]:
        problems: list[Problem] = []
        for error in validator.iter_errors(msgspec.json.decode(payload)):
            problems += _problems(error)
            if len(problems) >= MAX_REPORTED_PROBLEMS:
                break
        return problems[:MAX_REPORTED_PROBLEMS]

    return check


def _problems(error: jsonschema_rs.ValidationError) -> Iterator[Problem]:
    kind = error.kind
    name = type(kind).__name__.rpartition(".")[2]
    where = list(error.instance_path)
    told: Any = kind.value
    if name == "Required":
        yield Problem(pointer(*where, kind.as_dict()["property"]), "required", REQUIRED)
    elif name in {"AdditionalProperties", "UnevaluatedProperties"}:
        for member in kind.as_dict()["unexpected"]:
            yield Problem(pointer(*where, member), "unknown_field", UNKNOWN_FIELD)
    elif name == "Type":
        yield Problem(pointer(*where), "type", f"Expected {_type_words(kind)}, got {_got(error.instance)}")
    else:
        code, words = _WORDS.get(name, ("invalid", "not what this type's schema asks for"))
        yield Problem(pointer(*where), code, words.replace("`", "").format(told))


def _type_words(kind: Any) -> str:
    wanted = kind.as_dict()["types"]
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    return " | ".join(_TYPES.get(name, name) for name in names)


def _got(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "str"
        case dict():
            return "object"
        case _:
            return "array"
