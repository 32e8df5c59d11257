"""The pages show what arrived, and a message's HTML only where it can do no harm."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.mailbox.post import RECIPIENT, a_box, a_letter, a_message
from treadle.mailbox.app import create_app
from treadle.mailbox.box import Box
from treadle.mailbox.pages import MAX_SHOWN_CHARACTERS

Visit = Callable[[Box], httpx.AsyncClient]


class Tags(HTMLParser):
    """The tags of a page with their attributes, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


async def test_an_empty_box_teaches_how_to_fill_it(visit: Visit) -> None:
    page = Tags((await visit(Box()).get("/")).text)

    assert "Treadle mailbox" in page.text
    assert "curl http://localhost:3000/jobs" in page.text
    assert '"type": "EMAIL_SEND"' in page.text
    assert page.named("form") == []  # nothing to find, nothing to delete


async def test_the_list_tells_who_to_what_when_and_size_newest_first(visit: Visit) -> None:
    old = a_message(a_letter(subject="the old one"), recipients=[RECIPIENT, "b@example.org"])
    new = a_message(a_letter(subject="the new one"), minute=5)

    page = Tags((await visit(a_box(old, new)).get("/")).text)

    assert page.text.index("the new one") < page.text.index("the old one")
    for expected in (
        "The App <app@example.com>",
        f"{RECIPIENT}, b@example.org",
        "2026-03-04 12:05:00",
        f"{len(old.raw)} B",
    ):
        assert expected in page.text
    assert "2 messages" in page.text
    assert [a["href"] for a in page.named("a") if "/messages/" in str(a["href"])] == [
        f"/messages/{new.id}",
        f"/messages/{old.id}",
    ]


async def test_long_lists_are_turned_page_by_page(visit: Visit) -> None:
    client = visit(a_box(*(a_message(a_letter(subject=f"subject-{number:03}")) for number in range(120))))

    first = Tags((await client.get("/")).text)
    (older,) = [str(a["href"]) for a in first.named("a") if a.get("rel") == "next"]
    second = Tags((await client.get(older)).text)
    beyond = await client.get("/?start=5000")
    nonsense = await client.get("/?start=nonsense")

    assert "subject-119" in first.text
    assert "subject-069" not in first.text
    assert "subject-069" in second.text
    assert "51–100 of 120" in second.text
    assert {a.get("rel") for a in second.named("a")} >= {"prev", "next"}
    assert (beyond.status_code, nonsense.status_code) == (200, 200)


async def test_the_list_can_be_searched(visit: Visit) -> None:
    messages = [a_message(a_letter(subject=f"subject-{number:03}", text="all & everything")) for number in range(60)]
    client = visit(a_box(*messages))

    one = Tags((await client.get("/", params={"q": "subject-007"})).text)
    many = Tags((await client.get("/", params={"q": "l & e"})).text)
    none = Tags((await client.get("/", params={"q": "absent"})).text)

    assert "subject-007" in one.text
    assert "subject-008" not in one.text
    assert one.named("input")[0]["value"] == "subject-007"
    assert [a["href"] for a in many.named("a") if a.get("rel") == "next"] == ["/?q=l+%26+e&start=50"]
    assert "Nothing found" in none.text


async def test_what_was_dropped_is_told(visit: Visit) -> None:
    page = await visit(a_box(*(a_message() for _ in range(5)), max_messages=2)).get("/")

    assert "3 older messages dropped" in page.text


async def test_a_message_shows_its_text_headers_and_attachments(visit: Visit) -> None:
    raw = (
        b"From: a@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Odd: seen\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nF=C3=BCr alle\r\n"
        b"--b\r\nContent-Type: text/csv\r\n"
        b'Content-Disposition: attachment; filename="table.csv"\r\n\r\na,b\r\n--b--\r\n'
    )
    message = a_message(raw, recipients=["hidden@example.org"])

    page = Tags((await visit(a_box(message)).get(f"/messages/{message.id}")).text)

    for expected in ("Grüße", "Für alle", "X-Odd", "seen", "table.csv", "hidden@example.org"):
        assert expected in page.text
    assert page.named("iframe") == []


async def test_html_is_shown_only_inside_a_frame_without_rights(visit: Visit) -> None:
    message = a_message(a_letter(text="plain\n", html="<p>rich</p><script>alert(1)</script>"))
    client = visit(a_box(message))

    page = await client.get(f"/messages/{message.id}")
    framed = await client.get(f"/messages/{message.id}/html")

    assert "rich" not in page.text
    (frame,) = Tags(page.text).named("iframe")
    assert frame["sandbox"] == ""
    assert frame["src"] == f"/messages/{message.id}/html"
    assert "<p>rich</p>" in framed.text
    assert framed.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
    )
    assert framed.headers["x-content-type-options"] == "nosniff"
    assert framed.headers["content-type"] == "text/html; charset=utf-8"


async def test_html_that_is_attached_is_not_shown(visit: Visit) -> None:
    raw = b"Content-Type: text/html\r\nContent-Disposition: attachment; filename=x.html\r\n\r\n<p>rich</p>\r\n"
    message = a_message(raw)
    client = visit(a_box(message))

    assert (await client.get(f"/messages/{message.id}/html")).status_code == 404
    assert "x.html" in (await client.get(f"/messages/{message.id}")).text


async def test_the_raw_message_is_text_byte_for_byte(visit: Visit) -> None:
    raw = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\xff\r\n"
    message = a_message(raw)

    answer = await visit(a_box(message)).get(f"/messages/{message.id}/raw")

    assert answer.content == raw
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'inline; filename="{message.id}.eml"'


async def test_a_text_of_a_megabyte_is_cut_on_the_page(visit: Visit) -> None:
    message = a_message(b"Subject: x\r\n\r\n" + b"x" * 1_000_000)

    page = Tags((await visit(a_box(message)).get(f"/messages/{message.id}")).text)

    assert "x" * MAX_SHOWN_CHARACTERS in page.text
    assert "x" * (MAX_SHOWN_CHARACTERS + 1) not in page.text
    assert "Only the first 200,000 characters" in page.text


async def test_an_unknown_message_is_a_page_that_says_so(visit: Visit) -> None:
    client = visit(Box())

    for path in ("/messages/unknown", "/messages/unknown/html", "/messages/unknown/raw"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "There is no such message" in answer.text
    assert (await client.get("/nowhere")).status_code == 404


async def test_every_link_works_below_a_path() -> None:
    message = a_message(a_letter(html="<p>x</p>"))
    outer = Starlette(routes=[Mount("/mail", create_app(a_box(message)))])
    transport = httpx.ASGITransport(app=outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in ("/mail/", f"/mail/messages/{message.id}"):
            page = Tags((await client.get(path)).text)
            links = [a.get("href") or a.get("src") for _, a in page.tags if a.get("href") or a.get("src")]
            assert links
            for link in links:
                assert (await client.get(str(link))).status_code == 200, link
        missing = await client.get("/mail/api/v1/messages/unknown")
        deleted = await client.post("/mail/delete-all", headers={"Origin": "http://localhost"})

    assert missing.json() == {"error": "no message has this id"}
    assert deleted.headers["location"] == "/mail/"


async def test_the_process_says_that_it_lives(visit: Visit) -> None:
    assert (await visit(Box()).get("/live")).status_code == 200
