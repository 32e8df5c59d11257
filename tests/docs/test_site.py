"""The documentation's site: made without a warning, whole, and on its own."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page loads, where its links lead, and the places in it that links may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        if "id" in found:
            self.places.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADING and LOADING[tag] in found:
            self.loads.append(found[LOADING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
    made = subprocess.run(
        [*command, "-d", str(folder.parent / "doctrees"), str(ROOT / "docs"), str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (made.returncode, made.stderr) == (0, ""), made.stderr
    return folder


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_every_page_of_the_folder_is_in_the_site(site: Path) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert len(written) > 10
    assert written <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loads = {load for page in pages(site).values() for load in page.loads}
    assert "_static/styles/furo.css" in {load.partition("?")[0] for load in loads}
    assert [load for load in loads if urlsplit(load).netloc] == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()[^;)]*//[^;)]*", sheet.read_text("utf-8")) == [], sheet


def test_every_link_leads_somewhere(site: Path) -> None:
    found = pages(site)
    broken = [
        f"{path.relative_to(site)}: {link}"
        for path, page in found.items()
        for link in page.links
        if not urlsplit(link).netloc and not leads_somewhere(path, link, found)
    ]
    assert broken == []


def leads_somewhere(page: Path, link: str, found: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target not in found:
        return target.is_file()
    return not parts.fragment or unquote(parts.fragment) in found[target].places
