"""Refuses modules and functions over the limits of [tool.treadle.sizes] in pyproject.toml.

A limit is raised for one file by name, with a reason; a raise that is not needed is refused too.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def _functions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def _excesses(path: Path, limits: dict[str, int]) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    if lines > limits["module-lines"]:
        yield f"{lines} lines, the limit is {limits['module-lines']}"
    if "function-lines" in limits:
        for name, line, length in _functions(ast.parse(text, str(path))):
            if length > limits["function-lines"]:
                yield f"line {line}: {name} has {length} lines, limit {limits['function-lines']}"


def _refusals(sizes: dict[str, Any]) -> Iterator[str]:
    source = {key: sizes[key] for key in ("module-lines", "function-lines")}
    tests = {"module-lines": sizes["test-module-lines"]}
    raised: dict[str, dict[str, Any]] = sizes.get("raised", {})
    for folder, limits in (("src", source), ("tests", tests)):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            own = raised.get(name)
            if own is None:
                yield from (f"{name}: {excess}" for excess in _excesses(path, limits))
                continue
            if not str(own.get("reason", "")).strip():
                yield f"{name}: its limit is raised without a reason"
            if not any(_excesses(path, limits)):
                yield f"{name}: its limit is raised and need not be"
            yield from (f"{name}: {excess}" for excess in _excesses(path, {**limits, **own}))
    for name in raised:
        if not (ROOT / name).is_file():
            yield f"{name}: its limit is raised and there is no such file"


def main() -> int:
    """Print every refusal; exit code 1 when there is one."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    refusals = list(_refusals(pyproject["tool"]["treadle"]["sizes"]))
    for refusal in refusals:
        print(refusal)
    return 1 if refusals else 0


if __name__ == "__main__":
    sys.exit(main())
