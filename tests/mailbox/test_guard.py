"""A page of another site can neither change the mailbox nor read it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.mailbox.post import a_box, a_message
from treadle.hostname import HostNames
from treadle.mailbox.app import create_app
from treadle.mailbox.box import Box

Visit = Callable[[Box], httpx.AsyncClient]

HERE = "http://localhost:8025"
FORMS = ["/delete-all", "/messages/{id}/delete"]
DELETIONS = ["/api/v1/messages", "/api/v1/messages/{id}"]

ALLOWED = [
    {"Sec-Fetch-Site": "same-origin", "Origin": HERE},
    {"Sec-Fetch-Site": "none"},
    {"Origin": HERE},
]
REFUSED = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:9999"},
    {"Origin": "null"},
    {"Origin": "http://[broken"},
    {"Origin": ""},
]


@pytest.mark.parametrize("headers", ALLOWED)
@pytest.mark.parametrize("path", FORMS)
async def test_a_form_of_this_site_deletes(visit: Visit, path: str, headers: dict[str, str]) -> None:
    message = a_message()
    box = a_box(message)

    answer = await visit(box).post(path.format(id=message.id), headers=headers)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert box.count == 0


@pytest.mark.parametrize("headers", [*REFUSED, {}])
@pytest.mark.parametrize("path", FORMS)
async def test_any_other_form_is_refused(visit: Visit, path: str, headers: dict[str, str]) -> None:
    message = a_message()
    box = a_box(message)

    answer = await visit(box).post(path.format(id=message.id), headers=headers)

    assert answer.status_code == 403
    assert box.count == 1


@pytest.mark.parametrize("headers", [*ALLOWED, {}])
@pytest.mark.parametrize("path", DELETIONS)
async def test_a_program_may_delete(visit: Visit, path: str, headers: dict[str, str]) -> None:
    message = a_message()
    box = a_box(message)

    answer = await visit(box).delete(path.format(id=message.id), headers=headers)

    assert answer.status_code == 200
    assert box.count == 0


@pytest.mark.parametrize("headers", REFUSED)
@pytest.mark.parametrize("path", DELETIONS)
async def test_a_script_of_another_site_may_not(visit: Visit, path: str, headers: dict[str, str]) -> None:
    message = a_message()
    box = a_box(message)

    answer = await visit(box).delete(path.format(id=message.id), headers=headers)

    assert answer.status_code == 403
    assert box.count == 1


@pytest.mark.parametrize("path", FORMS)
async def test_reading_a_form_address_deletes_nothing(visit: Visit, path: str) -> None:
    message = a_message()
    box = a_box(message)

    answer = await visit(box).get(path.format(id=message.id))

    assert answer.status_code == 405
    assert box.count == 1


async def test_no_other_site_is_told_that_it_may_read(visit: Visit) -> None:
    client = visit(a_box(a_message()))

    asked = await client.options(
        "/api/v1/messages", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    )
    read = await client.get("/api/v2/messages", headers={"Origin": "http://evil.example"})

    for answer in (asked, read):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8025", "localhost.", "127.0.0.1:8025", "[::1]:8025", "[::1]"])
async def test_names_of_this_machine_are_answered(visit: Visit, host: str) -> None:
    assert (await visit(Box()).get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "localhost:8025.evil.example", "evil.example:8025", "[::1", "", "*"],
)
@pytest.mark.parametrize("path", ["/", "/api/v2/messages", "/live", "/static/mailbox.css"])
async def test_a_name_that_was_bent_to_this_machine_is_not(visit: Visit, path: str, host: str) -> None:
    answer = await visit(a_box(a_message())).get(path, headers={"Host": host})

    assert answer.status_code == 403
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        (["mailhog"], "mailhog:8025", 200),
        (["Mail.Example.COM"], "mail.example.com", 200),
        (["mailhog"], "localhost", 200),
        (["mailhog"], "mailbox", 403),
        (["*"], "anything.example", 200),
    ],
)
async def test_names_can_be_listed(allowed: list[str], host: str, status: int) -> None:
    transport = httpx.ASGITransport(app=create_app(Box(), HostNames(listed=allowed)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/", headers={"Host": host})

    assert answer.status_code == status


@pytest.mark.parametrize(
    "path",
    ["/", "/messages/unknown", "/messages/{id}", "/messages/{id}/raw", "/api/v2/messages", "/static/mailbox.css"],
)
async def test_every_answer_carries_the_headers_that_protect_it(visit: Visit, path: str) -> None:
    message = a_message()

    headers = (await visit(a_box(message)).get(path.format(id=message.id))).headers

    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


async def test_a_refusal_carries_them_too(visit: Visit) -> None:
    answer = await visit(Box()).post("/delete-all", headers={"Origin": "http://evil.example"})

    assert answer.status_code == 403
    assert "content-security-policy" in answer.headers
    assert answer.headers["cache-control"] == "no-store"
