"""The matrix of bad input, part one: ``POST /jobs`` before its payload is looked at."""

from __future__ import annotations

import json
from typing import Any

from tests.security.row import CANARY, JSON, Row, errors, malformed, submission, text

GOOD = text({"type": "CSV_EXPORT", "payload": {"data": [{"a": 1}]}})


def payload_with(member: bytes) -> bytes:
    """A good body whose one cell is ``member``, as it stands."""
    return b'{"type":"CSV_EXPORT","payload":{"data":[{"a":' + member + b"}]}}"


def refused(number: str, name: str, body: bytes, code: str) -> Row:
    """JSON that no store could give back equal."""
    return Row(number, name, body=body, errors=errors(("", code)))


def typed(content_type: str) -> Row:
    """A good body under another media type."""
    name = f"media type {content_type or 'none'}"
    headers = {"Content-Type": content_type}
    return Row("I038", name, body=GOOD, headers=headers, status=415, problem="unsupported-media-type")


def each(number: str, member: str, *pairs: tuple[Any, str]) -> list[Row]:
    """A row for every value of ``member``, with the code it is refused with."""
    return [
        submission(number, f"{member} {json.dumps(value)[:24]}", {member: value}, (f"/{member}", code))
        for value, code in pairs
    ]


NO_OBJECTS: list[tuple[Any, str]] = [
    ("x", "type"),
    ([], "type"),
    (1, "type"),
    (False, "type"),
    (0, "type"),
    ("", "type"),
]

MALFORMED = [
    malformed("I002", "empty body", b""),
    malformed("I002", "white space alone", b" \r\n\t"),
    malformed("I003", "unclosed", b"{"),
    malformed("I003", "half a word", b"nul"),
    malformed("I003", "trailing comma", b'{"type":"CSV_EXPORT",}'),
    malformed("I003", "single quotes", b"{'type':'CSV_EXPORT'}"),
    malformed("I003", "comment", b"/* no */" + GOOD),
    malformed("I003", "two documents", GOOD + GOOD),
    malformed("I003", "two lines of JSON", GOOD + b"\n" + GOOD),
    malformed("I003", "trailing garbage", GOOD + b" x"),
    malformed("I003", "raw line feed in a string", b'{"type":"CSV\nEXPORT"}'),
    malformed("I003", "unknown escape", b'{"type":"\\x41"}'),
    malformed("I003", "leading zero", payload_with(b"01")),
    malformed("I003", "number with a plus", payload_with(b"+1")),
    malformed("I003", "hexadecimal number", payload_with(b"0x10")),
    malformed("I003", "full-width digit", payload_with("１".encode())),
    malformed("I003", "a form", b"type=CSV_EXPORT&payload=" + CANARY.encode()),
    malformed("I018", "NaN", payload_with(b"NaN")),
    malformed("I018", "Infinity", payload_with(b"Infinity")),
    malformed("I018", "minus Infinity", payload_with(b"-Infinity")),
    malformed("I027", "byte order mark", b"\xef\xbb\xbf" + GOOD),
    malformed("I029", "UTF-16", GOOD.decode().encode("utf-16")),
    malformed("I029", "UTF-16 without a mark", GOOD.decode().encode("utf-16-le")),
    malformed("I029", "UTF-32", GOOD.decode().encode("utf-32")),
    malformed("I029", "not UTF-8", payload_with(b'"\xff"')),
    malformed("I029", "overlong UTF-8", payload_with(b'"\xc0\xaf"')),
    malformed("I029", "surrogate in UTF-8", payload_with(b'"\xed\xa0\x80"')),
]

UNSTORABLE = [
    refused("I019", "float beyond 64 bits", payload_with(b"1e999"), "number_out_of_range"),
    refused("I019", "negative float beyond 64 bits", payload_with(b"-1e999"), "number_out_of_range"),
    refused("I020", "integer of 401 digits", payload_with(b"1" + b"0" * 400), "number_out_of_range"),
    refused("I020", "integer of 5000 digits", payload_with(b"9" * 5_000), "number_out_of_range"),
    refused("I020", "fraction of 5000 digits", payload_with(b"0." + b"1" * 5_000), "number_out_of_range"),
    refused("I022", "2 to the 53 and 1", payload_with(b"9007199254740993"), "number_out_of_range"),
    refused("I022", "2 to the 53", payload_with(b"9007199254740992"), "number_out_of_range"),
    refused("I022", "minus 2 to the 53", payload_with(b"-9007199254740992"), "number_out_of_range"),
    refused("I024", "NUL in a value", payload_with(b'"a\\u0000b"'), "nul_character"),
    refused("I024", "NUL in a key", payload_with(b'1,"\\u0000":2'), "nul_character"),
    refused("I025", "high surrogate alone", payload_with(b'"\\ud83d"'), "lone_surrogate"),
    refused("I025", "low surrogate alone", payload_with(b'"\\ude00"'), "lone_surrogate"),
    refused("I025", "surrogates in the wrong order", payload_with(b'"\\ude00\\ud83d"'), "lone_surrogate"),
    refused("I025", "surrogate in a key", payload_with(b'1,"\\ud800":2'), "lone_surrogate"),
    refused("I017", "duplicate member", b'{"type":"A","type":"CSV_EXPORT","payload":{}}', "duplicate_member"),
    refused("I017", "duplicate member deep inside", payload_with(b'1,"a":2'), "duplicate_member"),
    refused("I017", "duplicate member spelled as an escape", payload_with(b'1,"\\u0061":2'), "duplicate_member"),
    refused("I030", "33 arrays", b"[" * 33 + b"]" * 33, "too_deep"),
    refused("I030", "1000 arrays", b"[" * 1_000 + b"]" * 1_000, "too_deep"),
    refused("I030", "100000 unclosed arrays", b"[" * 100_000, "too_deep"),
    refused("I030", "33 objects", b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
    refused("I030", "100000 objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
    refused("I030", "arrays and objects in turn", b'[{"a":' * 50_000, "too_deep"),
]

NEEDED = (("/type", "required"), ("/payload", "required"))

ENVELOPE = [
    Row("I004", "an array", body=b"[]", errors=errors(("", "type"))),
    Row("I004", "a string", body=text(CANARY), errors=errors(("", "type"))),
    Row("I004", "null", body=b"null", errors=errors(("", "type"))),
    Row("I005", "an empty object", body=b"{}", errors=errors(*NEEDED)),
    Row(
        "I005",
        "everything wrong at once",
        body=text({"priority": CANARY, "queue": "No!", "maxAttempts": 0, CANARY[:6]: 1}),
        errors=errors(
            *NEEDED,
            ("/priority", "one_of"),
            ("/queue", "pattern"),
            ("/maxAttempts", "range"),
            (f"/{CANARY[:6]}", "unknown_field"),
        ),
        why="a pointer names the member, which is the client's own word; over-long ones are cut at 64 characters",
    ),
    submission("I006", "no type", {"type": ...}, ("/type", "required")),
    submission("I006", "type null", {"type": None}, ("/type", "type")),
    submission("I006", "type empty", {"type": ""}, ("/type", "length")),
    submission("I006", "type blank", {"type": " "}, ("/type", "unknown_type")),
    submission("I006", "type a number", {"type": 5}, ("/type", "type")),
    submission("I006", "type an array", {"type": []}, ("/type", "type")),
    submission("I006", "type an object", {"type": {}}, ("/type", "type")),
    submission("I007", "type unknown", {"type": CANARY}, ("/type", "unknown_type")),
    submission("I007", "type in small letters", {"type": "csv_export"}, ("/type", "unknown_type")),
    submission("I007", "type with a full-width letter", {"type": "ＣSV_EXPORT"}, ("/type", "unknown_type")),
    submission("I007", "type of a Python name", {"type": "__class__"}, ("/type", "unknown_type")),
    submission("I009", "type of 10000 characters", {"type": CANARY * 1_000}, ("/type", "length")),
    submission("I011", "priority null", {"priority": None}, ("/priority", "type")),
    *each(
        "I012",
        "priority",
        ("HIGH", "one_of"),
        ("low", "one_of"),
        ("", "one_of"),
        ("high ", "one_of"),
        (1, "type"),
        (True, "type"),
        (["high"], "type"),
    ),
    submission("I013", "no payload", {"payload": ...}, ("/payload", "required")),
    submission("I013", "payload null", {"payload": None}, ("/payload", "type")),
    *each("I014", "payload", *NO_OBJECTS),
    submission("I015", "payload without its members", {"payload": {}}, ("/payload/data", "required")),
    *(
        submission("I016", f"member {name}", {name: CANARY}, (f"/{name}", "unknown_field"))
        for name in ("status", "id", "jobId", "attempts", "result", "createdAt", "worker", "Type", "__proto__")
    ),
    *each(
        "I055",
        "maxAttempts",
        (0, "range"),
        (-1, "range"),
        (26, "range"),
        (10**9, "range"),
        (1.5, "type"),
        (3.0, "type"),
        ("3", "type"),
        (True, "type"),
        (None, "type"),
    ),
    *each("I056", "timeoutSeconds", (0, "range"), (-1, "range"), (1e9, "range"), ("30", "type"), (False, "type")),
    Row(
        "I056",
        "timeoutSeconds infinite",
        body=GOOD[:-1] + b',"timeoutSeconds":1e999}',
        errors=errors(("", "number_out_of_range")),
    ),
    *each("I057", "delaySeconds", (-1, "range"), (1e9, "range"), ("1", "type"), (True, "type")),
    *each(
        "I057",
        "runAt",
        ("2030-01-01T00:00:00", "date_time"),
        ("2030-13-01T00:00:00Z", "date_time"),
        ("2030-02-30T00:00:00Z", "date_time"),
        ("2030-01-01T25:00:00Z", "date_time"),
        ("２030-01-01T00:00:00Z", "date_time"),
        ("2030-01-01T00:00:00+99:00", "date_time"),
        ("tomorrow", "date_time"),
        (1893456000, "type"),
        (None, "type"),
    ),
    submission(
        "I057",
        "runAt and delaySeconds",
        {"runAt": "2030-01-01T00:00:00Z", "delaySeconds": 1},
        ("/delaySeconds", "conflict"),
    ),
    *each(
        "I058",
        "queue",
        ("", "pattern"),
        ("No Such!", "pattern"),
        ("high_priority", "pattern"),
        ("a" * 64, "pattern"),
        ("queue:default", "pattern"),
        ("défaut", "pattern"),
        ("default\n", "pattern"),
        ("nobody-names-it", "unknown_queue"),
        (5, "type"),
        (None, "type"),
    ),
]

TRANSPORT = [
    Row(
        "I032",
        "one byte more than the limit",
        body=GOOD + b" " * (10 * 1024 * 1024 + 1 - len(GOOD)),
        status=413,
        problem="too-large",
    ),
    *(
        Row(
            "I036",
            f"Content-Encoding {encoding}",
            body=GOOD,
            headers={**JSON, "Content-Encoding": encoding},
            status=415,
            problem="unsupported-media-type",
            answered_with={"accept-encoding": "identity"},
        )
        for encoding in ("gzip", "br", "gzip, identity", "x")
    ),
    *(
        typed(content_type)
        for content_type in (
            "application/problem+json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=latin-1",
            "application/json; charset=utf-16",
            "application/json;application/json",
            "application/jsonx",
            "*/*",
            "",
        )
    ),
    *(
        Row(
            "I044",
            f"{method} jobs",
            method=method,
            status=405,
            problem="method-not-allowed",
            answered_with={"allow": "POST"},
        )
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS")
    ),
    Row(
        "I045",
        "a preflight from another site",
        method="OPTIONS",
        headers={
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
        status=405,
        problem="method-not-allowed",
        why="no CORS: nobody asked for it, and its absence is what keeps other sites out of an API without keys",
    ),
    *(
        Row(
            "I047",
            f"query {query}",
            path=f"/jobs?{query}",
            body=GOOD,
            errors=errors(("", "unknown_parameter")),
        )
        for query in ("priority=high", CANARY, "=", "%00=%ff", "a[]=1")
    ),
    Row("I048", "an empty Idempotency-Key", body=GOOD, headers={**JSON, "Idempotency-Key": ""}),
    Row("I048", "an over-long Idempotency-Key", body=GOOD, headers={**JSON, "Idempotency-Key": "k" * 256}),
    Row("I048", "a blank in an Idempotency-Key", body=GOOD, headers={**JSON, "Idempotency-Key": "a b"}),
]

BATCH = [
    Row(name=name, id="I053", path="/jobs/batch", body=body, errors=errors(*pairs))
    for name, body, pairs in (
        ("a batch without jobs", b"{}", [("/jobs", "required")]),
        ("an empty batch", b'{"jobs":[]}', [("/jobs", "length")]),
        ("a batch that is an array", b"[]", [("", "type")]),
        ("jobs null", b'{"jobs":null}', [("/jobs", "type")]),
        ("an unknown member beside jobs", b'{"jobs":[' + GOOD + b'],"x":1}', [("/x", "unknown_field")]),
        ("10001 jobs", b'{"jobs":[' + b",".join([b"{}"] * 10_001) + b"]}", [("/jobs", "length")]),
        (
            "one bad job among good ones",
            b'{"jobs":[' + GOOD + b',{"type":"CSV_EXPORT","payload":{}},7]}',
            [("/jobs/1/payload/data", "required"), ("/jobs/2", "type")],
        ),
    )
]

ROWS = [*MALFORMED, *UNSTORABLE, *ENVELOPE, *TRANSPORT, *BATCH]
