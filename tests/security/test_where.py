"""Every number of the matrix and of the checklist has its test, or a reason why it has none."""

from __future__ import annotations

import re
from pathlib import Path

from tests.security import matrix_envelope, matrix_payloads, matrix_wire
from tests.security.where import I_NUMBERS, NOT_IN_THIS_RELEASE, S_NUMBERS, TESTED

ROOT = Path(__file__).parents[2]


def here() -> set[str]:
    """Numbers of the rows, and those in the names of this folder's tests."""
    rows = [*matrix_envelope.ROWS, *matrix_payloads.ROWS]
    numbers = {row.id for row in rows} | {row.id for row in matrix_wire.ROWS}
    for path in Path(__file__).parent.glob("test_*.py"):
        for name in re.findall(r"def (test_[is]\d\w+)", path.read_text("utf-8")):
            numbers |= {number.upper() for number in re.findall(r"(?<=_)[is]\d{2,3}(?=_)", name)}
    return numbers


def test_every_number_is_accounted_for() -> None:
    wanted = {f"I{number}" for number in I_NUMBERS.split()} | {f"S{number:02}" for number in S_NUMBERS}
    assert wanted - here() - TESTED.keys() - NOT_IN_THIS_RELEASE.keys() == set()


def test_what_is_said_to_be_tested_is_and_what_is_said_to_be_missing_is_not_tested_here() -> None:
    for number, where in TESTED.items():
        file, _, test = where.partition("::")
        assert (ROOT / file).is_file(), number
        assert not test or f"def {test}(" in (ROOT / file).read_text("utf-8"), number
    assert NOT_IN_THIS_RELEASE.keys() & (TESTED.keys() | here()) == set()


def test_two_rows_never_share_a_name() -> None:
    names = [str(row) for row in [*matrix_envelope.ROWS, *matrix_payloads.ROWS]]
    assert len(names) == len(set(names))
