"""Every error there is: kinds of answers, codes of what is wrong with a body, ends of an attempt, Python's exceptions.

What exists is read from the code; what it means is said here. Neither may be without the other.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import treadle
from treadle import errors
from treadle.errors import TreadleError
from treadle.web import problems
from treadle.web.problems import Kind

SOURCE = Path(treadle.__file__).parent

KINDS = {
    "malformed-json": "the body is not one strict JSON document",
    "malformed-http": "not HTTP/1.1, or something that two servers could read differently; the connection is closed",
    "invalid-request": "`errors` says what is wrong where, with one of the codes below",
    "unauthorized": "an API key or a login is needed, or this one is wrong",
    "csrf": "another site's page made a browser send this change",
    "not-found": "no such job, file, queue or address",
    "method-not-allowed": "`Allow` names those that are",
    "header-timeout": "the header did not arrive in time; the connection is closed",
    "body-timeout": "the body did not arrive in time",
    "invalid-state": "the job's status does not allow this; `detail` names it",
    "idempotency-key-in-flight": "the first request with this key is being stored; ask again after `Retry-After`",
    "gone": "the job's file was removed or replaced",
    "too-large": "more than `TREADLE_MAX_BODY_BYTES`; the connection is closed",
    "address-too-long": "more than 8 KiB; the connection is closed",
    "unsupported-media-type": "send `Content-Type: application/json`",
    "range-not-satisfiable": "the file is shorter than the range begins",
    "misdirected-request": "the `Host` is none of this server's: `localhost`, a numeric address, or a name in "
    "`TREADLE_ALLOWED_HOSTS`",
    "idempotency-key-reused": "the key was used with another body",
    "too-many-requests": "too many wrong passwords from one address; wait a minute",
    "headers-too-large": "more than 100 header fields or 32 KiB; the connection is closed",
    "internal-error": "a bug; the log has it under the answer's `X-Request-Id`",
    "store-unavailable": "the database does not answer; `detail` says whether anything can have been done, "
    "`Retry-After` when to ask again",
    "overloaded": "too much waits to be stored; ask again after `Retry-After`",
}

CODES = {
    "address": "not one plain e-mail address",
    "conflict": "two members that exclude each other",
    "control_character": "a control character where none may be",
    "cursor": "not the `nextCursor` of an earlier page",
    "date_time": "not an RFC 3339 time with a zone",
    "duplicate_member": "an object names a member twice",
    "duplicate_parameter": "a query parameter is given twice",
    "encoded_word": "a subject with `=?`, which begins an encoded word",
    "idempotency_key": "not 1 to 255 printable ASCII characters",
    "invalid": "does not fit the type's schema, in a way that has no code of its own",
    "length": "too long, too short, too many or too few",
    "lone_surrogate": "text with half of a surrogate pair",
    "malformed_json": "not JSON",
    "no_transaction": "Python: a connection without an open transaction",
    "not_storable": "no database can hold this",
    "not_with_connection": "Python: a connection and an idempotency key exclude each other",
    "nul_character": "text with U+0000",
    "number_out_of_range": "a number that not every reader of JSON reads the same",
    "one_of": "not one of the allowed values",
    "pattern": "text that does not fit its pattern",
    "range": "a number that is too large or too small, or no multiple of what it should be",
    "required": "a member is missing",
    "too_deep": "more than 32 levels",
    "too_many": "more of them than allowed",
    "type": "another kind of value is expected",
    "unknown_field": "no such member",
    "unknown_parameter": "no such query parameter",
    "unknown_queue": "no job type, worker or setting names this queue",
    "unknown_type": "no process has told of this job type; `GET /types` lists them",
}

ENDS = {
    "cpu_limit": "it computed for longer than `Isolation(cpu_seconds=…)`",
    "CancelledError": "the handler cancelled itself",
    "child_not_started": "no child process could be started for it",
    "crash": "the process that ran it died; spends a crash, not a failure",
    "internal_error": "a bug in Treadle; the worker's log has it",
    "invalid_payload": "the payload does not fit the type's model; not tried again",
    "parked": "the handler raised `Park`; the job is `dead`",
    "poison": "the last crash that was allowed; the job is `dead`",
    "result_not_storable": "the result is no JSON, or too large; not tried again",
    "snoozed_too_often": "it asked for later more than 1,000 times; not tried again",
    "timeout": "it ran longer than its timeout",
    "unknown_type": "the worker has no handler for the type; not tried again",
}

# How the code that makes a problem is called, and which of its arguments is the code.
_MAKERS = {"Problem": 1, "refuse": 1, "_refuse": 0, "BadAddress": 0}
# Rooms that show their problems to a person at a page or a terminal, and to nobody else.
_ASIDE = ("admin", "cli", "client")


def errors_page() -> str:
    """Raises ``ValueError`` where something has no words, or words stand for nothing."""
    kinds = [value for value in vars(problems).values() if isinstance(value, Kind)]
    _same("kinds of answers", {kind.slug for kind in kinds}, KINDS)
    _same("codes", set(_codes()), CODES)
    _same("ends of attempts", set(_ends()), ENDS)
    rows = {kind.slug: f"| {kind.status} | `/problems/{kind.slug}` | {KINDS[kind.slug]} |" for kind in kinds}
    lines = [
        "# Errors",
        "",
        "Generated from the code by `make docs`; do not edit.",
        "",
        "## Answers",
        "",
        "Every error is `application/problem+json` (RFC 9457): `type` is one of these and does not change, `title`",
        "says the same in words, `detail` (and `error`, the same text) what happened, `errors` what is wrong where.",
        "",
        "| status | `type` | meaning |",
        "|---|---|---|",
        *rows.values(),
        "",
        "## What is wrong where",
        "",
        'Each member of `errors` is `{"pointer", "code", "detail"}`: a JSON Pointer into the body (for a query',
        "parameter, `/` and its name), one of these codes, and what was expected. A payload that is a pydantic",
        "model may have pydantic's codes as well.",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| `{code}` | {meaning} |" for code, meaning in CODES.items()),
        "",
        "## How an attempt ended",
        "",
        "`kind` in a job's `errors`. An exception that a handler raised has its class's name, `ValueError` say.",
        "",
        "| kind | meaning |",
        "|---|---|",
        *(f"| `{kind}` | {meaning} |" for kind, meaning in ENDS.items()),
        "",
        "## Exceptions in Python",
        "",
        "All are `treadle.TreadleError`s with a `code` that does not change. One *so written* has no name in",
        "`treadle`: catch what it is.",
        "",
        "| exception | is a | code | when |",
        "|---|---|---|---|",
        *_exceptions(),
        "",
    ]
    return "\n".join(lines)


def _same(what: str, found: Collection[str], told: Mapping[str, str]) -> None:
    if odd := sorted(set(found) ^ set(told)):
        raise ValueError(f"scripts/pages/errors.py and the code name other {what}: {', '.join(odd)}")


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] in _ASIDE:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                yield name, node


def _codes() -> Iterator[str]:
    for name, call in _calls():
        place = _MAKERS.get(name)
        if place is not None and len(call.args) > place:
            yield from _text(call.args[place])


def _ends() -> Iterator[str]:
    for name, call in _calls():
        place = {"Failed": 0, "_failure": 1}.get(name)
        if place is not None and len(call.args) > place:
            yield from _text(call.args[place])
    yield from ("crash", "poison")  # service/settle and service/reap decide between the two


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _exceptions() -> Iterator[str]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TreadleError)]
    for error in found:
        parent = error.__mro__[1]
        name = f"`{error.__name__}`" if error.__name__ in treadle.__all__ else f"*{error.__name__}*"
        when = (error.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " ").replace("``", "`").rstrip(".")
        yield f"| {name} | {'' if parent is Exception else parent.__name__} | `{error.code}` | {when} |"
