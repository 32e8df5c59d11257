"""``CSV_EXPORT``: rows of JSON become one CSV file. Same payload, same bytes; one row at a time becomes objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import msgspec

from treadle import InvalidInput, Job, Problem, Treadle
from treadle.builtin.csv_text import read_row, render
from treadle.builtin.json_array import elements

MAX_COLUMNS = 10_000

MAX_CELLS = 100_000_000
"""Rows times columns: a few MiB of empty rows under 10,000 columns would otherwise fill a disk with commas."""

_MAX_PROBLEMS = 20
_ROWS_BETWEEN_LOOKS = 2048
"""A few milliseconds of work, so that a cancel is heard at once and costs nothing."""

_row_names = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Table(NamedTuple):
    """What the rows make together."""

    rows: int
    columns: tuple[str, ...]
    """All the rows' names in the order of first appearance."""


class CsvExport(msgspec.Struct, forbid_unknown_fields=True, rename="camel", dict=True):
    """What ``CSV_EXPORT`` is given."""

    # Text until it is written. As a list of dicts, 9 MiB of short rows (255,000) take 72 MiB beside it; as a list of
    # Raw rows, 16 (msgspec 0.22, CPython 3.11, 2026).
    data: Annotated[
        msgspec.Raw,
        msgspec.Meta(
            description="Rows; the columns are all their names in the order of first appearance",
            examples=[[{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bob", "city": "Zürich"}]],
            extra_json_schema={"type": "array", "items": {"type": "object"}},
        ),
    ]
    escape_formulas: Annotated[
        bool, msgspec.Meta(description="Put a ' before text that a spreadsheet would run as a formula")
    ] = True

    def __post_init__(self) -> None:
        """Check every row, here and not in the handler: at the door, somebody is still listening."""
        _ = self.table

    @classmethod
    def content_problems(cls, members: Mapping[str, Any]) -> tuple[Problem, ...]:
        """What is wrong with the rows, even while another member is of the wrong type."""
        try:
            if "data" in members:
                _table_of(members["data"])
        except InvalidInput as error:
            return error.problems
        return ()

    @cached_property
    def table(self) -> Table:
        """One look at every row. Raises ``InvalidInput``, and ``ValueError`` for rows that nest too deep."""
        return _table_of(self.data)


def _table_of(data: msgspec.Raw) -> Table:
    if bytes(memoryview(data)[:1]) != b"[":
        raise InvalidInput([Problem("/data", "type", "expected an array of objects")])
    columns: dict[str, None] = {}
    problems: list[Problem] = []
    rows = 0
    for row in elements(data):
        try:
            names = _row_names.decode(row)
        except msgspec.ValidationError as error:
            problems.append(Problem(f"/data/{rows}", "type", str(error).replace("`", "")))
            if len(problems) == _MAX_PROBLEMS:
                break
        else:
            if not columns.keys() >= names.keys():
                columns |= dict.fromkeys(names)
                if len(columns) > MAX_COLUMNS:
                    problems.append(Problem("/data", "too_many", f"more than {MAX_COLUMNS} columns"))
                    break
        rows += 1
    if len(columns) <= MAX_COLUMNS and len(columns) * rows > MAX_CELLS:
        problems.append(Problem("/data", "too_many", f"more than {MAX_CELLS} cells (rows times columns)"))
    if problems:
        raise InvalidInput(problems)
    return Table(rows, tuple(columns))


class CsvExported(msgspec.Struct):
    """What ``CSV_EXPORT`` answers; ``file`` lies in the output folder."""

    file: str
    rows: int
    columns: int


class ExportStopped(Exception):
    """Somebody asked the job to stop; the half-written file is gone."""


def register_csv_export(app: Treadle) -> None:
    """Register ``CSV_EXPORT``."""

    @app.job("CSV_EXPORT")
    def csv_export(payload: CsvExport, job: Job) -> CsvExported:
        rows, columns = payload.table
        with job.artifact("export.csv", "text/csv", deterministic=True) as file:
            for text in render(_watched(payload, job), columns, escape_formulas=payload.escape_formulas):
                file.write(text.encode())
        return CsvExported(f"{job.id}.csv", rows, len(columns))


def _watched(payload: CsvExport, job: Job) -> Iterator[dict[str, Any]]:
    """The rows, decoded one by one; tells the progress and stops where the job shall stop."""
    rows = payload.table.rows
    for done, text in enumerate(elements(payload.data)):
        if done % _ROWS_BETWEEN_LOOKS == 0:
            if job.cancelled:
                raise ExportStopped(f"stopped after {done} of {rows} rows")
            job.progress(done, rows, "rows")
        yield read_row(text)
    job.progress(rows, rows, "rows")
