"""Options that both commands of this folder have."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


def names(text: str) -> list[str]:
    """``drain, bulk`` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def names_among(known: Collection[str]) -> Callable[[str], list[str]]:
    """The same for an option that takes only these."""

    def read(text: str) -> list[str]:
        found = names(text)
        if unknown := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return found

    return read


def a_parser(command: str, about: str | None, contests: Collection[str], quick: str) -> argparse.ArgumentParser:
    """A parser with what both take. ``quick``: what that means here."""
    parser = argparse.ArgumentParser(prog=command, description=about)
    parser.add_argument("--quick", action="store_true", help=quick)
    known = ", ".join(contests)
    parser.add_argument("--only", type=names_among(contests), default=[], metavar="NAMES", help=f"some of {known}")
    parser.add_argument("--resume", action="store_true", help="keep the samples of the run that was interrupted")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser
