"""Says whether .venv and the lock files still match pyproject.toml, by hash, without the network.

    fingerprint.py stamp dev|runtime   print what a .venv made now would be stamped with
    fingerprint.py ready dev|runtime   exit 0 when .venv has it; one for dev serves runtime too
    fingerprint.py record              write requirements/locked.json; scripts/lock does it
    fingerprint.py check               exit 0 when the lock files are what scripts/lock last made
                                       and pyproject.toml asks for what it asked for then

Needs only the standard library: it runs before anything is installed.
"""

import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STAMP = ROOT / ".venv" / ".setup-stamp"
LOCKS = {name: ROOT / "requirements" / f"{name}.txt" for name in ("runtime", "dev")}
# What scripts/vendor.py fetches while Treadle is installed; the folders it fills carry a stamp of their own.
VENDOR = [ROOT / name for name in ("package.json", "package-lock.json", "scripts/vendor.py")]
VENDORED = [ROOT / name / "lock.sha256" for name in ("src/treadle/admin/static/vendor", "tests/browser/vendor")]
RECORD = ROOT / "requirements" / "locked.json"

# An option line, an address or a direct reference: a lock must work with any index its user has.
_NOT_A_PIN = re.compile(r"^-|://| @ ", re.MULTILINE)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def stamp(mode: str) -> str:
    """Everything that an environment depends on; the path too, since a copied .venv points home."""
    pyproject = _pyproject()
    return _digest(
        [
            mode,
            str(ROOT),
            sys.base_prefix,
            sys.version,
            LOCKS[mode].read_text(encoding="utf-8"),
            pyproject["build-system"],
            pyproject["project"],
            pyproject["tool"]["hatch"],
            [file.read_text(encoding="utf-8") for file in VENDOR],
        ]
    )


def is_ready(mode: str) -> bool:
    """Whether the environment that is there serves ``mode``."""
    if not all(file.is_file() for file in (STAMP, *VENDORED)):
        return False
    return STAMP.read_text(encoding="utf-8").strip() in {stamp(mode), stamp("dev")}


def _locked() -> dict[str, str]:
    project = _pyproject()["project"]
    inputs = [project[key] for key in ("requires-python", "dependencies", "optional-dependencies")]
    locks = {lock.name: _digest(lock.read_text(encoding="utf-8")) for lock in LOCKS.values()}
    return {"pyproject.toml": _digest(inputs), **locks}


def _problems() -> list[str]:
    return [
        f"requirements/{lock.name} holds an option, an address or a direct reference."
        for lock in LOCKS.values()
        if _NOT_A_PIN.search(lock.read_text(encoding="utf-8"))
    ]


def record() -> list[str]:
    """Write down what the lock files were made of."""
    problems = _problems()
    if not problems:
        RECORD.write_text(json.dumps(_locked(), indent=2) + "\n", encoding="utf-8")
    return problems


def check() -> list[str]:
    """What does not match, in words; nothing when all does."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    stale = [name for name, digest in _locked().items() if recorded.get(name) != digest]
    changed = [f"{name} changed since scripts/lock was last run: run it." for name in stale]
    return changed + _problems()


def main(arguments: list[str]) -> int:
    """Exit code 0 for yes, 1 for no."""
    match arguments:
        case ["stamp", ("dev" | "runtime") as mode]:
            print(stamp(mode))
            return 0
        case ["ready", ("dev" | "runtime") as mode]:
            return 0 if is_ready(mode) else 1
        case ["record"]:
            problems = record()
        case ["check"]:
            problems = check()
        case _:
            problems = [__doc__ or ""]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
