"""The matrix of bad input, part two: what the built-in job types refuse, and every address that is asked for."""

from __future__ import annotations

from tests.builtin.corpus import CONTROL_CHARACTERS, ENCODED_WORDS
from tests.security.row import CANARY, UNKNOWN_ID, Row, errors, export, mail

EXPORT = [
    export("I061", "no data", {}, ("/payload/data", "required")),
    export("I061", "data null", {"data": None}, ("/payload/data", "type")),
    export("I061", "data an object", {"data": {}}, ("/payload/data", "type")),
    export("I061", "data a string", {"data": CANARY}, ("/payload/data", "type")),
    export(
        "I064",
        "rows that are no objects",
        {"data": [{"a": 1}, 2, CANARY, None, []]},
        *((f"/payload/data/{index}", "type") for index in (1, 2, 3, 4)),
    ),
    export("I065", "10001 columns", {"data": [{str(n): n for n in range(10_001)}]}, ("/payload/data", "too_many")),
    export(
        "I065",
        "a hundred million cells",
        {"data": [{str(n): n for n in range(10_000)}, *[{}] * 10_000]},
        ("/payload/data", "too_many"),
        why="a few megabytes of empty rows under 10,000 columns would fill a disk with commas",
    ),
    export("I069", "NUL in a cell", {"data": [{"a": "x\0y"}]}, ("", "nul_character")),
    export("I069", "NUL in a header", {"data": [{"x\0y": 1}]}, ("", "nul_character")),
    export("I072", "escapeFormulas a word", {"data": [], "escapeFormulas": "no"}, ("/payload/escapeFormulas", "type")),
    *(
        export(
            "I073", f"member {name}", {"data": [], name: "../../etc/" + CANARY}, (f"/payload/{name}", "unknown_field")
        )
        for name in ("filename", "path", "file", "name", "output")
    ),
    export(
        "I074",
        "all that is wrong at once",
        {"data": [7], "escapeFormulas": 1, "path": CANARY},
        ("/payload/data/0", "type"),
        ("/payload/escapeFormulas", "type"),
        ("/payload/path", "unknown_field"),
    ),
]

MAIL = [
    *(
        mail("I076", f"{name} {told}", {name: value}, (f"/payload/{name}", code))
        for told, value, codes in (
            ("missing", ..., ("required", "required", "required")),
            ("null", None, ("type", "type", "type")),
            ("a number", 5, ("type", "type", "type")),
            ("empty", "", ("address", "length", "length")),
        )
        for name, code in zip(("to", "subject", "body"), codes, strict=True)
    ),
    mail("I076", "subject blank", {"subject": " \u00a0"}, ("/payload/subject", "length")),
    mail("I076", "no recipients", {"to": []}, ("/payload/to", "length")),
    mail("I076", "a recipient that is a number", {"to": ["ada@example.com", 5]}, ("/payload/to/1", "type")),
    *(
        mail(
            "I077",
            f"{name} holds {ascii(character)}",
            {name: f"a{character}Bcc: {CANARY}@example.org"},
            (f"/payload/{name}", "control_character"),
        )
        for character in (*CONTROL_CHARACTERS[1:], "\r\n")
        for name in ("subject", "to")
    ),
    mail("I077", "subject ends in a line feed", {"subject": "a\n"}, ("/payload/subject", "control_character")),
    mail("I077", "recipient ends in a line feed", {"to": "a@example.com\n"}, ("/payload/to", "control_character")),
    mail("I077", "NUL in a subject", {"subject": "a\0b"}, ("", "nul_character")),
    *(
        mail("I078", f"recipient {ascii(address)}", {"to": address}, ("/payload/to", "address"))
        for address in (
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "ada@example.com,bob@example.com",
            "ada@example.com;bob@example.com",
            "<ada@example.com>",
            '"ada"@example.com',
            "ada@[127.0.0.1]",
            "ada@-example.com",
            "ada@example..com",
            ".ada@example.com",
            "ada@example.com ",
            "ada@ex\u2024ample.com",
            "x" * 65 + "@example.com",
            "ada@" + "x" * 64 + ".com",
        )
    ),
    mail(
        "I079",
        "each bad one of several recipients",
        {"to": ["ada@example.com", CANARY, "a\r\nb@example.com"]},
        ("/payload/to/1", "address"),
        ("/payload/to/2", "control_character"),
    ),
    mail("I080", "51 recipients", {"to": [f"r{n}@example.com" for n in range(51)]}, ("/payload/to", "too_many")),
    mail(
        "I081",
        "an encoded word before an address",
        {"to": "=?utf-8?q?x=0d=0aBcc:=20canary-4711@example.org?= <a@example.com>"},
        ("/payload/to", "address"),
    ),
    mail("I081", "a display name", {"to": "Ada <ada@example.com>"}, ("/payload/to", "address")),
    *(
        mail("I081", f"subject {ascii(word)}", {"subject": word}, ("/payload/subject", "encoded_word"))
        for word in ENCODED_WORDS
    ),
    mail("I083", "a local part beyond ASCII", {"to": "üser@exämple.com"}, ("/payload/to", "address")),
    *(
        mail("I085", f"member {name}", {name: CANARY}, (f"/payload/{name}", "unknown_field"))
        for name in ("from", "replyTo", "reply-to", "sender", "cc", "bcc", "headers", "host", "messageId")
    ),
    mail("I086", "subject of 1000 characters", {"subject": "s" * 1_000}, ("/payload/subject", "length")),
    mail("I089", "body of 1 MiB and 1", {"body": "b" * (1024 * 1024 + 1)}, ("/payload/body", "length")),
    mail("I089", "html of 1 MiB and 1 in bytes", {"html": "ü" * (512 * 1024) + "x"}, ("/payload/html", "length")),
    *(
        mail("I091", f"attachments {ascii(value)}", {"attachments": value}, ("/payload/attachments", "unknown_field"))
        for value in ("/etc/passwd", "http://127.0.0.1/", ["data:text/plain;base64,AAAA"])
    ),
    mail("I091", "onAmbiguous another word", {"onAmbiguous": CANARY}, ("/payload/onAmbiguous", "one_of")),
    mail(
        "I091",
        "all that is wrong at once",
        {"to": 5, "subject": "a\r\nb", "body": ..., "html": "", "x": 1},
        ("/payload/to", "type"),
        ("/payload/subject", "control_character"),
        ("/payload/body", "required"),
        ("/payload/html", "length"),
        ("/payload/x", "unknown_field"),
    ),
]


def get(number: str, name: str, path: str, status: int = 404, problem: str = "not-found", **members: object) -> Row:
    """A read that is refused."""
    return Row(number, name, "GET", path, headers={}, status=status, problem=problem, **members)  # type: ignore[arg-type]


NO_IDS = [
    ("another version", "018f0000-0000-4000-8000-000000000000"),
    ("too short", UNKNOWN_ID[:-1]),
    ("too long", UNKNOWN_ID + "0"),
    ("no hyphens", UNKNOWN_ID.replace("-", "")),
    ("in braces", "%7B" + UNKNOWN_ID + "%7D"),
    ("as a URN", "urn:uuid:" + UNKNOWN_ID),
    ("a line feed behind it", UNKNOWN_ID + "%0a"),
    ("full-width digits", UNKNOWN_ID.replace("0", "%EF%BC%90", 1)),
    ("a path", "..%2f..%2fetc%2fpasswd"),
    ("NUL", "%00"),
    ("a header", "%0d%0aX-Injected:%20" + CANARY),
    ("markup", f"%3Cscript%3E{CANARY}%3C%2Fscript%3E"),
    ("SQL", f"'%20OR%201=1--{CANARY}"),
    ("not UTF-8", "%ff%fe"),
    ("a word", CANARY),
]

READS = [
    get("I093", "an id nobody has", f"/jobs/{UNKNOWN_ID}"),
    get("I093", "the file of an id nobody has", f"/jobs/{UNKNOWN_ID}/result"),
    *(get("I097", f"an id that is none, {name}", f"/jobs/{job_id}") for name, job_id in NO_IDS),
    *(get("I097", f"a file of no id, {name}", f"/jobs/{job_id}/result") for name, job_id in NO_IDS),
    *(get("I097", f"an admin's id that is none, {name}", f"/admin/jobs/{job_id}") for name, job_id in NO_IDS),
    *(
        get(
            "I098",
            f"query {query}",
            f"/jobs/{UNKNOWN_ID}?{query}",
            400,
            "invalid-request",
            errors=errors((where, code)),
        )
        for query, where, code in (
            ("wait=61", "/wait", "range"),
            ("wait=-1", "/wait", "range"),
            ("wait=1e1", "/wait", "range"),
            ("wait=nan", "/wait", "range"),
            ("wait=%EF%BC%91", "/wait", "range"),
            ("wait=", "/wait", "range"),
            ("wait=1&wait=2", "/wait", "duplicate_parameter"),
            (f"include={CANARY}", "/include", "one_of"),
            (f"api_key={CANARY}", "", "unknown_parameter"),
            ("&".join(f"a{n}=1" for n in range(33)), "", "too_many"),
        )
    ),
    *(
        get("I110", f"query {query}", f"/admin/jobs?{query}", 400, "invalid-request", errors=errors((where, code)))
        for query, where, code in (
            (f"status={CANARY}", "/status", "one_of"),
            ("status[]=", "", "unknown_parameter"),
            ("status=failed&status=queued", "/status", "duplicate_parameter"),
            ("status=failed'--", "/status", "one_of"),
            ("status=", "/status", "one_of"),
            ("status=FAILED", "/status", "one_of"),
            ("priority=urgent", "/priority", "one_of"),
            ("queue=No%20Such", "/queue", "pattern"),
            ("type=", "/type", "length"),
            ("type=a%00b", "/type", "length"),
            ("limit=0", "/limit", "range"),
            ("limit=201", "/limit", "range"),
            ("limit=1.5", "/limit", "range"),
            ("limit=%2B1", "/limit", "range"),
            ("limit=1_0", "/limit", "range"),
            ("limit=%D9%A1", "/limit", "range"),
            (f"cursor={CANARY}", "/cursor", "cursor"),
            ("cursor=", "/cursor", "cursor"),
            ("cursor=JyBPUiAxPTEtLQ==", "/cursor", "cursor"),
            ("sort=id;DROP%20TABLE%20jobs", "", "unknown_parameter"),
            ("next=https://evil.example", "", "unknown_parameter"),
        )
    ),
    get(
        "I111",
        "several bad parameters at once",
        "/admin/jobs?status=x&limit=0&cursor=x&nope=1",
        400,
        "invalid-request",
        errors=errors(("/status", "one_of"), ("/limit", "range"), ("/cursor", "cursor"), ("", "unknown_parameter")),
    ),
    *(
        get("I117", f"nowhere {ascii(path)}", path)
        for path in (
            "/",
            "/jobs/",
            "/admin",
            "/admin/",
            "/.git/config",
            "/.env",
            "/docs",
            "/debug",
            "/admin/ui/../../etc/passwd",
            "/admin/ui/%2e%2e/%2e%2e/etc/passwd",
            "/admin/ui/..%5c..%5cetc%5cpasswd",
            f"/{CANARY}",
        )
    ),
]

WRITES = [
    *(
        Row(
            "I122",
            f"{verb} of {name}",
            path=f"/admin/jobs/{job_id}/{verb}",
            headers={},
            status=404,
            problem="not-found",
        )
        for verb in ("retry", "dlq", "cancel", "delete", "erase")
        for name, job_id in (("an id nobody has", UNKNOWN_ID), ("no id", CANARY), ("NUL", "%00"))
    ),
    *(
        Row(
            "I122",
            f"pause of queue {ascii(name)}",
            path=f"/admin/queues/{name}/pause",
            headers={},
            status=404,
            problem="not-found",
        )
        for name in ("No%20Such", "high_priority", "a" * 64, "%00", "queue:default")
    ),
    *(
        Row(
            "I124",
            f"{' '.join(f'{k}: {v}' for k, v in headers.items())} on {path.rsplit('/', 1)[1]}",
            path=path,
            headers=headers,
            status=403,
            problem="csrf",
        )
        for path in (f"/admin/jobs/{UNKNOWN_ID}/retry", "/admin/queues/default/pause")
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": CANARY},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1.evil.example"},
            {"Origin": "http://127.0.0.1:1"},
        )
    ),
    *(
        Row(
            "I126",
            f"{method} {path}",
            method,
            path,
            headers={},
            status=405,
            problem="method-not-allowed",
            answered_with={"allow": "POST"},
        )
        for method in ("GET", "PUT", "DELETE")
        for path in (f"/admin/jobs/{UNKNOWN_ID}/retry", "/admin/queues/default/pause", f"/jobs/{UNKNOWN_ID}/cancel")
    ),
    Row(
        "I129",
        "a large body where none is taken",
        path=f"/admin/jobs/{UNKNOWN_ID}/retry",
        body=b"x" * 1025,
        headers={},
        status=413,
        problem="too-large",
    ),
]

ROWS = [*EXPORT, *MAIL, *READS, *WRITES]
