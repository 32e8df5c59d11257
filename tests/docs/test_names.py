"""What the documentation names exists, and what exists is named there."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import treadle
from scripts.pages.routes import ADMIN, API, MAILBOX
from treadle import client, testing
from treadle.cli.parser import cli
from treadle.settings import SETTINGS, parse_settings
from treadle.states import Status
from treadle.web import problems

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, *sorted((ROOT / "examples").rglob("*.md")), *(ROOT / f"{n}.md" for n in ("README", "CONTRIBUTING"))]
CODE = re.compile(r"^```[^\n]*\n(.*?)^```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
OTHERS_VARIABLES = {
    "TREADLE_TEST_BROWSER": "tests/browser",
    "PYTHON": "scripts/setup",
    "UID": "compose.yaml",
    "GID": "compose.yaml",
    "POSTGRES_PASSWORD": "compose.yaml",
}


def code_of(page: Path) -> list[str]:
    """Everything on the page that is written as code, spans and blocks."""
    return [block or span for block, span in CODE.findall(page.read_text("utf-8"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands() -> dict[str, set[str]]:
    """Every command, and its options."""
    found: dict[str, set[str]] = {"treadle": {"--version", "--install-completion", "--show-completion"}}

    def walk(name: str, group: Any) -> None:
        context = group.make_context(name, [], resilient_parsing=True)
        for word in group.list_commands(context):
            command = group.get_command(context, word)
            found[f"{name} {word}"] = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
            if hasattr(command, "list_commands"):
                walk(f"{name} {word}", command)

    walk("treadle", typer.main.get_command(cli))
    return found


def in_pages(pages: list[Path], pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
    for page in pages:
        for code in code_of(page):
            for found in re.finditer(pattern, code, re.MULTILINE):
                yield name_of(page), found


def test_every_setting_in_the_docs_exists() -> None:
    known = {setting.env for setting in SETTINGS} | set(OTHERS_VARIABLES)
    prefixes = ("TREADLE_*", "TREADLE_RETENTION_*_DAYS")
    named = [(page, found[0]) for page, found in in_pages(PAGES, r"\bTREADLE_[A-Z_*]+|\b(?:ADMIN|MAIL|API)_[A-Z]+\b")]
    assert len(named) > 100
    assert [(page, name) for page, name in named if name not in known and name not in prefixes] == []


def test_every_command_and_option_in_the_docs_exists() -> None:
    known = commands()
    wrong, seen = [], 0
    for page, found in in_pages(PAGES, r"(?<!from)(?:^|[ /\"$(])treadle((?: [a-z]+)*)((?: [^|&;\n`)]*)?)"):
        words = found[1].split()
        name = "treadle"
        while words and f"{name} {words[0]}" in known:
            name += f" {words.pop(0)}"
        options = set(re.findall(r"(?<=\s)--[a-z-]+", " " + found[2])) - {"--help"}
        seen += name != "treadle"
        if (words and name in ("treadle", "treadle jobs")) or not options <= known[name]:
            wrong.append((page, found[0].strip()))
    assert seen > 50
    assert wrong == []


def test_every_route_in_the_docs_exists() -> None:
    known = [re.sub(r"\\{\w+\\}", "[^/ ]+", re.escape(route)) for route in {**API, **ADMIN, **MAILBOX}]
    named = list(in_pages(PAGES, r"\b(GET|POST|DELETE) (/[^\s?`]*)"))
    assert len(named) > 40
    assert [
        (page, found[0])
        for page, found in named
        if not any(re.fullmatch(route, found[0].rstrip(".,")) for route in known)
    ] == []


def test_every_address_in_the_docs_is_a_route() -> None:
    known = [re.sub(r"\\{\w+\\}", "[^/ ]+", re.escape(r.partition(" ")[2])) for r in {**API, **ADMIN, **MAILBOX}]
    named = list(in_pages(PAGES, r"http://127\.0\.0\.1:(?:3000|8025)(/[^\s?'\"`]*)"))
    assert len(named) > 10
    assert [
        (page, found[1]) for page, found in named if not any(re.fullmatch(route, found[1]) for route in known)
    ] == []


def test_every_kind_of_problem_in_the_docs_exists() -> None:
    known = {value.slug for value in vars(problems).values() if isinstance(value, problems.Kind)}
    assert {found[1] for _, found in in_pages(PAGES, r"/problems/([a-z-]+)")} <= known


def test_every_path_in_the_docs_exists() -> None:
    named = {
        (name_of(page), found)
        for page in PAGES
        for found in re.findall(
            r"(?<!/)\b(?:src|docs|tests|scripts|examples|deploy)/[\w./<>-]*\w", page.read_text("utf-8")
        )
        if "<" not in found  # a name that somebody will give
    }
    assert len(named) > 20
    assert [(page, path) for page, path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_make_target_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {found[1] for _, found in in_pages(PAGES, r"(?:^|\n)make ([a-z]+)")} <= targets


def test_every_name_that_is_imported_in_the_docs_exists() -> None:
    houses = {"treadle": treadle, "treadle.client": client, "treadle.testing": testing}
    for page, found in in_pages(PAGES, r"\b(treadle(?:\.client|\.testing)?)\.([A-Z]\w+)\b"):
        assert hasattr(houses[found[1]], found[2]), (page, found[0])


def hand_written() -> str:
    """The code of all pages that somebody wrote."""
    pages = [page for page in DOCS if "do not edit" not in page.read_text("utf-8")]
    return "\n".join(code for page in [*pages, ROOT / "README.md"] for code in code_of(page))


@pytest.mark.parametrize("module", [treadle, client, testing], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_docs(module: Any) -> None:
    told = hand_written()
    public = [name for name in module.__all__ if not name.startswith("_")]
    assert [name for name in public if not re.search(rf"\b{name}\b", told)] == []


@pytest.mark.parametrize(
    "kind", [treadle.Job, treadle.Client, testing.Harness, treadle.Treadle], ids=lambda kind: kind.__name__
)
def test_every_public_member_is_in_the_docs(kind: type) -> None:
    told = hand_written()
    # bind is for the server that runs an app, and no user's.
    members = [name for name, _ in inspect.getmembers(kind) if not name.startswith("_") and name != "bind"]
    assert len(members) > 5
    assert [name for name in members if not re.search(rf"\b{name}\b", told)] == []


@pytest.mark.parametrize("kind", [treadle.Retry, treadle.Isolation, treadle.JobDraft], ids=lambda kind: kind.__name__)
def test_every_parameter_is_in_the_docs(kind: type) -> None:
    told = hand_written()
    assert [name for name in inspect.signature(kind).parameters if not re.search(rf"\b{name}\b", told)] == []


def test_every_status_is_in_the_docs() -> None:
    told = hand_written()
    assert [status.value for status in Status if not re.search(rf"\b{status}\b", told)] == []


def test_every_python_block_is_python() -> None:
    blocks = [
        (name_of(page), block)
        for page in PAGES
        for block in re.findall(r"^ *```python\n(.*?)^ *```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]
    assert len(blocks) > 5
    for page, block in blocks:
        try:  # as if inside a coroutine: a page may show the middle of one
            ast.parse("async def page():\n" + textwrap.indent(textwrap.dedent(block), "    "))
        except SyntaxError as error:
            pytest.fail(f"{page}: {error}")


def test_settings_that_a_page_shows_together_are_taken() -> None:
    blocks = [
        (name_of(page), dict(line.partition("=")[::2] for line in block.splitlines()))
        for page in PAGES
        for block in re.findall(r"^```sh\n((?:[A-Z_]+=.*\n)+)```$", page.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(blocks) > 1
    for page, settings in blocks:
        try:
            parse_settings(settings)
        except treadle.SettingsError as error:
            pytest.fail(f"{page}: {error.problems}")
