"""What must not stand in the code, whoever writes it: looked for in every file that is shipped."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "treadle"
FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "xml", "telnetlib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "input"}
QUERIES = {"execute", "executemany", "executescript", "fetch", "fetchrow", "fetchval", "fetchone", "prepare"}
# A PRAGMA and VACUUM take no parameters; each of these writes a whole number or a name of our own into one.
BUILT_SQL = {
    ("store/sqlite/connection.py", "pragma"),
    ("store/sqlite/store.py", "migration.number"),
    ("store/sqlite/writing.py", "int(usual)"),
}


def calls(name: str) -> Iterator[tuple[ast.Call, str]]:
    """Every call of a file, and the last part of what is called."""
    for node in ast.walk(ast.parse((SOURCE / name).read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            yield node, called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")


@pytest.mark.parametrize("name", FILES)
def test_s31_nothing_is_loaded_that_could_run(name: str) -> None:
    tree = ast.parse((SOURCE / name).read_text("utf-8"))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & FORBIDDEN_MODULES
    for call, called in calls(name):
        plain = isinstance(call.func, ast.Name)
        assert not (plain and called in FORBIDDEN_CALLS), f"{name}:{call.lineno}"
        assert not (called in {"system", "popen"} and ast.unparse(call.func).startswith("os.")), f"{name}:{call.lineno}"
        assert not [word for word in call.keywords if word.arg == "shell"], f"{name}:{call.lineno}"


@pytest.mark.parametrize("name", FILES)
def test_s25_no_value_is_written_into_sql(name: str) -> None:
    for call, called in calls(name):
        if called not in QUERIES or not call.args:
            continue
        query = call.args[0]
        assert not isinstance(query, ast.BinOp), f"{name}:{call.lineno}"
        assert not (isinstance(query, ast.Call) and getattr(query.func, "attr", "") == "format"), (
            f"{name}:{call.lineno}"
        )
        if isinstance(query, ast.JoinedStr):
            values = [ast.unparse(part.value) for part in query.values if isinstance(part, ast.FormattedValue)]
            strange = [value for value in values if not re.fullmatch(r"_?[A-Z_]+", value)]  # a constant is no input
            assert not [value for value in strange if (name, value) not in BUILT_SQL], f"{name}:{call.lineno}"


@pytest.mark.parametrize("name", FILES)
def test_s32_no_text_from_outside_is_a_pattern_for_text(name: str) -> None:
    for call, called in calls(name):
        if called in {"format", "format_map"} and isinstance(call.func, ast.Attribute):
            source = call.func.value
            is_json = ast.unparse(source) == "msgspec.json"  # which lays JSON out, and fills nothing in
            assert is_json or isinstance(source, ast.Constant | ast.Name), f"{name}:{call.lineno}"


def test_s19_templates_escape_everything_and_scripts_write_no_markup() -> None:
    files = [*SOURCE.rglob("*.html"), *(path for path in SOURCE.rglob("*.js") if "vendor" not in path.parts)]
    assert len(files) > 15
    for path in files:
        text = path.read_text("utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )
        assert not re.search(r"https?://(?!www\.w3\.org/|localhost:)", text), (
            f"{path}: nothing is fetched from elsewhere"
        )
    for name in FILES:
        made = [call.lineno for call, called in calls(name) if called == "Markup"]
        assert not made, f"{name}: {made}"


def test_s59_every_locked_package_is_known_by_its_hash() -> None:
    for lock in ("runtime.txt", "dev.txt"):
        text = (ROOT / "requirements" / lock).read_text("utf-8")
        packages = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)+)", text, re.M)
        assert len(packages) == len(re.findall(r"^[a-z0-9][^ ]*==", text, re.M)) > 20
        assert "://" not in text
