"""The OpenAPI document: the route table, what ``operations`` says of its rows, and the schemas of the job types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from treadle.api import shapes
from treadle.api.jobs import json_response
from treadle.api.operations import ALWAYS, OPERATIONS, QUEUE_NAME, Operation, Parameter
from treadle.job import MAX_TIMEOUT_SECONDS
from treadle.queue import DEFAULT_QUEUE, PRIORITY_BY_LABEL
from treadle.retry import MAX_ATTEMPTS_LIMIT
from treadle.service.catalogue import KnownType
from treadle.service.runtime import Runtime
from treadle.service.submit import known_queues
from treadle.web.doors import Door
from treadle.web.guards import Guard
from treadle.web.problems import MEDIA_TYPE
from treadle.web.query import Query
from treadle.web.request import Request
from treadle.wire import MAX_BATCH_JOBS, MAX_DELAY_SECONDS

COMPONENTS = "#/components/schemas/"
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_IN_PATH: Mapping[str, Mapping[str, Any]] = {
    "job_id": {"type": "string", "format": "uuid"},
    "name": QUEUE_NAME,
}
_GUARD_STATUSES: Mapping[Guard, tuple[int, ...]] = {
    Guard.PUBLIC: (),
    Guard.KEY: (401,),
    Guard.ADMIN: (401, 429),
    Guard.METRICS: (401, 429),
}
_SCHEMES: Mapping[Guard, tuple[str, ...]] = {
    Guard.PUBLIC: (),
    Guard.KEY: ("key",),
    Guard.ADMIN: ("login",),
    Guard.METRICS: ("login", "token"),
}
_MEANS = {
    200: "Done",
    201: "Stored",
    202: "It runs, and was asked to stop",
    206: "A part of the file",
    304: "The client has it",
    400: "Not valid; errors says what is wrong where",
    401: "Credentials are needed",
    403: "A browser sends it for another site",
    404: "No such thing",
    408: "It arrived too slowly",
    409: "The state of things does not allow it",
    410: "The file is gone",
    413: "The body is too large",
    414: "The address is too long",
    415: "Not application/json in UTF-8",
    416: "The file ends before this range",
    421: "Another host's name",
    422: "The key was used with another body",
    429: "Too many wrong passwords",
    431: "The header is too large",
    503: "Not now; with Retry-After",
}


class OpenApi:
    """The endpoint ``/openapi.json``."""

    def __init__(self, runtime: Runtime, doors: Callable[[], Sequence[Door]]) -> None:
        self._runtime = runtime
        self._doors = doors

    async def document(self, request: Request) -> Response:
        """``GET /openapi.json``: with the job types that are known at this moment."""
        Query(request).check()
        types = await self._runtime.catalogue.all()
        return json_response(describe(self._doors(), types, sorted(known_queues(self._runtime))))


def describe(doors: Sequence[Door], types: Sequence[KnownType], queues: Sequence[str]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, components = msgspec.json.schema_components(_shapes(), ref_template=COMPONENTS + "{name}")
    for known in types:
        components |= _payload(known)
    for known in types:
        components[_job_of(known)] = _submission(known, queues)
    components["Submission"] = {"oneOf": [{"$ref": COMPONENTS + _job_of(known)} for known in types]} if types else False
    components["Batch"] = {
        "type": "object",
        "required": ["jobs"],
        "properties": {
            "jobs": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_BATCH_JOBS,
                "items": {"$ref": COMPONENTS + "Submission"},
            }
        },
        "additionalProperties": False,
        "examples": [{"jobs": [_example(known) for known in types]}] if types else [],
    }
    paths: dict[str, dict[str, Any]] = {}
    for door in doors:
        paths.setdefault(door.path, {})[door.method.lower()] = _operation(
            door, OPERATIONS[door.method, door.path], types
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Treadle", "version": "1", "description": "Background jobs. Every error is RFC 9457."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "login": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer", "description": "TREADLE_METRICS_TOKEN"},
            },
        },
    }


def _shapes() -> list[type]:
    answered = {shape for operation in OPERATIONS.values() for shape in operation.answers.values() if shape is not None}
    return sorted({*answered, shapes.ProblemDocument}, key=lambda shape: shape.__name__)


def _operation(door: Door, operation: Operation, types: Sequence[KnownType]) -> dict[str, Any]:
    refused = {*ALWAYS, *_GUARD_STATUSES[door.guard], *operation.refusals} - operation.answers.keys()
    if door.guard is Guard.ADMIN and door.method not in _SAFE_METHODS:
        refused.add(403)
    told: dict[str, Any] = {
        "operationId": _id_of(door),
        "summary": operation.summary,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": {
            **{str(status): _answer(status, shape, door) for status, shape in operation.answers.items()},
            **{str(status): _problem(status) for status in sorted(refused)},
        },
        "security": [{scheme: []} for scheme in _SCHEMES[door.guard]],
    }
    for name in re.findall(r"{(\w+)}", door.path):
        told["parameters"].append({"name": name, "in": "path", "required": True, "schema": _IN_PATH[name]})
    if operation.takes is not None:
        schema = {"$ref": COMPONENTS + operation.takes}
        media: dict[str, Any] = {"schema": schema}
        if operation.takes == "Submission":
            media["examples"] = {known.name: {"value": _example(known)} for known in types}
        told["requestBody"] = {"required": True, "content": {"application/json": media}}
    return told


def _id_of(door: Door) -> str:
    words = re.findall(r"\w+", door.path)
    return "_".join([door.method.lower(), *words])


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {"description": parameter.means} if parameter.means else {}
    return {"name": parameter.name, "in": parameter.where, "schema": parameter.schema, **described}


def _answer(status: int, shape: type | None, door: Door) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _MEANS[status]}
    if shape is not None:
        answer["content"] = {"application/json": {"schema": {"$ref": COMPONENTS + shape.__name__}}}
    elif status != 304:
        media = "application/json" if door.path.endswith(".json") else "*/*"
        answer["content"] = {media: {}}
    if status == 201 and door.path == "/jobs":
        answer["headers"] = {"Location": {"required": True, "schema": {"type": "string"}}}
        answer["links"] = {
            "job": {"operationId": "get_jobs_job_id", "parameters": {"job_id": "$response.body#/jobId"}},
            "cancel": {"operationId": "post_jobs_job_id_cancel", "parameters": {"job_id": "$response.body#/jobId"}},
        }
    return answer


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": f"{COMPONENTS}ProblemDocument"}
    return {"description": _MEANS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def _submission(known: KnownType, queues: Sequence[str]) -> dict[str, Any]:
    """A job of one type, as ``POST /jobs`` takes it."""
    return {
        "type": "object",
        "required": ["type", "payload"],
        "properties": {
            "type": {"const": known.name},
            "payload": {"$ref": COMPONENTS + _payload_of(known)},
            "priority": {"enum": list(PRIORITY_BY_LABEL), "default": "default"},
            "queue": {"enum": list(queues), "default": known.queue or DEFAULT_QUEUE},
            "runAt": {"type": "string", "format": "date-time"},
            "delaySeconds": {"type": "number", "minimum": 0, "maximum": MAX_DELAY_SECONDS},
            "maxAttempts": {"type": "integer", "minimum": 1, "maximum": MAX_ATTEMPTS_LIMIT},
            "timeoutSeconds": {"type": "number", "minimum": 0.001, "maximum": MAX_TIMEOUT_SECONDS},
        },
        "additionalProperties": False,
        "not": {"required": ["runAt", "delaySeconds"]},
        "examples": [_example(known)],
    }


# The shapes' names hold no dot, and neither does what a type's schema defines: no two components share a name.
def _job_of(known: KnownType) -> str:
    return f"job.{known.name}"


def _payload_of(known: KnownType) -> str:
    return f"payload.{known.name}"


def _part_of(known: KnownType, name: str) -> str:
    return f"part.{known.name}." + re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _payload(known: KnownType) -> dict[str, Any]:
    """The payload's schema and what it refers to, as components."""
    schema = dict(known.model.json_schema())
    definitions: Mapping[str, Any] = schema.pop("$defs", {})
    moved = {_part_of(known, name): definition for name, definition in definitions.items()}
    moved[_payload_of(known)] = schema
    return {name: _refer_to_components(definition, known) for name, definition in moved.items()}


def _refer_to_components(node: Any, known: KnownType) -> Any:
    if isinstance(node, dict):
        moved = {key: _refer_to_components(value, known) for key, value in node.items()}
        target = node.get("$ref")
        if isinstance(target, str) and target.startswith("#/$defs/"):
            moved["$ref"] = COMPONENTS + _part_of(known, target.removeprefix("#/$defs/"))
        return moved
    return [_refer_to_components(item, known) for item in node] if isinstance(node, list) else node


def _example(known: KnownType) -> dict[str, Any]:
    """A job to begin with: of the payload, the members that are needed, as their own examples have them."""
    schema = known.model.json_schema()
    root = _target(schema, schema)
    members = root.get("properties", {})
    payload = {name: _value(_target(members.get(name, {}), schema)) for name in root.get("required", ())}
    return {"type": known.name, "payload": payload}


def _target(node: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    target = node.get("$ref", "") if isinstance(node, dict) else ""
    if target.startswith("#/$defs/"):
        node = schema.get("$defs", {}).get(target.removeprefix("#/$defs/"), {})
    return node if isinstance(node, dict) else {}


_BY_KIND: Mapping[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


def _value(node: Mapping[str, Any]) -> Any:
    """The schema's own example, else its first allowed value, else something of its kind."""
    for told in (node.get("examples"), node.get("enum"), [node["default"]] if "default" in node else None):
        if told:
            return told[0]
    if "const" in node:
        return node["const"]
    branches = node.get("anyOf") or node.get("oneOf")
    if branches:
        return _value(branches[0]) if isinstance(branches[0], dict) else None
    kind = node.get("type", "null")
    return _BY_KIND.get(kind if isinstance(kind, str) else kind[0])
