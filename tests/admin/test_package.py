"""Other people's scripts: in the wheel, with their licences, and not in git."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDOR = "treadle/admin/static/vendor/"
FILES = {"htmx.min.js", "htmx.LICENSE", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"}


@pytest.mark.slow
def test_the_wheel_holds_what_the_page_is_served_with(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)

    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {VENDOR + name for name in FILES} <= names
    assert "treadle/admin/static/admin.js" in names
    assert "treadle/admin/templates/base.html" in names
    assert not [name for name in names if "axe" in name]


def test_git_holds_none_of_it() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()

    assert "package-lock.json" in listed
    assert not [name for name in listed if "vendor/" in name or "node_modules" in name or name.endswith(".min.js")]


def test_the_lock_names_no_address() -> None:
    lock = (ROOT / "package-lock.json").read_text("utf-8")

    assert '"integrity": "sha512-' in lock
    assert "://" not in lock
