"""The JSON interface is MailHog's, with errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.mailbox.post import RECIPIENT, a_box, a_letter, a_message, send
from treadle.mailbox.box import Box
from treadle.mailbox.server import Mailbox

Visit = Callable[[Box], httpx.AsyncClient]


def numbered(count: int) -> Box:
    return a_box(*(a_message(a_letter(subject=str(number)), minute=number) for number in range(count)))


def subjects(answer: httpx.Response) -> list[str]:
    return [item["Content"]["Headers"]["Subject"][0] for item in answer.json()["items"]]


async def test_what_was_sent_over_smtp_is_read_over_http(mailbox: Mailbox, visit: Visit) -> None:
    await send(mailbox, a_letter(subject="Grüße", text="Für alle: 5 €\n"), recipients=[RECIPIENT, "b@example.org"])

    answer = await visit(mailbox.box).get("/api/v2/messages")

    assert answer.headers["content-type"] == "application/json"
    (item,) = answer.json()["items"]
    assert item["Content"]["Headers"]["Subject"][0] == "Grüße"
    assert item["Content"]["Headers"]["To"][0] == RECIPIENT
    assert item["Content"]["Body"].strip() == "Für alle: 5 €"
    assert [f"{to['Mailbox']}@{to['Domain']}" for to in item["To"]] == [RECIPIENT, "b@example.org"]
    assert item["Raw"]["Data"].encode() == a_letter(subject="Grüße", text="Für alle: 5 €\n")


async def test_an_empty_box_has_an_empty_page(visit: Visit) -> None:
    answer = await visit(Box()).get("/api/v2/messages")

    assert answer.json() == {"total": 0, "count": 0, "start": 0, "items": []}


@pytest.mark.parametrize(
    ("query", "start", "expected"),
    [
        ("", 0, range(59, 9, -1)),
        ("?limit=3", 0, range(59, 56, -1)),
        ("?start=57&limit=250", 57, range(2, -1, -1)),
        ("?start=60", 60, range(0)),
        ("?start=999999999", 999_999_999, range(0)),
    ],
)
async def test_pages_are_newest_first(visit: Visit, query: str, start: int, expected: range) -> None:
    answer = await visit(numbered(60)).get(f"/api/v2/messages{query}")

    assert subjects(answer) == [str(number) for number in expected]
    page = answer.json()
    assert (page["total"], page["count"], page["start"]) == (60, len(expected), start)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("start=-1", "start"),
        ("start=", "start"),
        ("start=1e3", "start"),
        ("start=%D9%A3", "start"),
        ("start=" + "9" * 5_000, "start"),
        ("limit=0", "limit"),
        ("limit=251", "limit"),
        ("limit=ten", "limit"),
        ("start=x&limit=x", "start must be a whole number from 0 on; limit"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v2/messages?", "/api/v2/search?kind=to&query=x&"])
async def test_a_number_that_makes_no_sense_is_a_400_that_says_so(
    visit: Visit, path: str, query: str, named: str
) -> None:
    answer = await visit(Box()).get(path + query)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(named)


async def test_a_search_has_the_same_shape(visit: Visit) -> None:
    box = numbered(12)
    box.add(a_message(a_letter(subject="other"), sender="someone@example.com", recipients=["else@example.org"]))
    client = visit(box)

    by_sender = await client.get("/api/v2/search?kind=from&query=SOMEONE@")
    by_recipient = await client.get("/api/v2/search?kind=to&query=else@example.org")
    by_text = await client.get("/api/v2/search?kind=containing&query=It+works&start=10&limit=2")

    assert (subjects(by_sender), subjects(by_recipient)) == (["other"], ["other"])
    page = by_text.json()
    assert (page["total"], page["count"], page["start"]) == (13, 2, 10)


@pytest.mark.parametrize("query", ["", "kind=subject&query=x", "kind=from", "kind=from&query="])
async def test_a_search_for_nothing_is_a_400(visit: Visit, query: str) -> None:
    answer = await visit(Box()).get(f"/api/v2/search?{query}")

    assert answer.status_code == 400
    assert "error" in answer.json()


async def test_the_first_version_lists_all_and_shows_one(visit: Visit) -> None:
    box = numbered(3)
    client = visit(box)

    everything = (await client.get("/api/v1/messages")).json()
    one = await client.get(f"/api/v1/messages/{everything[1]['ID']}")

    assert [item["Content"]["Headers"]["Subject"] for item in everything] == [["2"], ["1"], ["0"]]
    assert one.json() == everything[1]


async def test_one_message_is_deleted_and_the_others_stay(visit: Visit) -> None:
    box = numbered(3)
    client = visit(box)
    doomed = box.newest_first()[1]

    answer = await client.delete(f"/api/v1/messages/{doomed.id}")
    again = await client.delete(f"/api/v1/messages/{doomed.id}")

    assert (answer.status_code, again.status_code) == (200, 404)
    assert [message.subject for message in box.newest_first()] == ["2", "0"]


async def test_all_messages_are_deleted(visit: Visit) -> None:
    box = numbered(3)

    answer = await visit(box).delete("/api/v1/messages")

    assert (answer.status_code, answer.json()) == (200, {"deleted": 3})
    assert box.count == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/messages/unknown", 404),
        ("GET", "/api/v1/messages/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        ("GET", "/api/v3/messages", 404),
        ("DELETE", "/api/v2/messages", 405),
    ],
)
async def test_errors_are_json(visit: Visit, method: str, path: str, status: int) -> None:
    answer = await visit(Box()).request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert "passwd" not in answer.text
