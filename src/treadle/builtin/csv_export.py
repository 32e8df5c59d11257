"""``CSV_EXPORT``: rows of JSON become one CSV file. Same payload, same bytes; a portion of rows at a time
becomes objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import msgspec

from treadle import InvalidInput, Job, Problem, Treadle
from treadle.builtin.csv_text import header, lines, read_rows
from treadle.builtin.json_array import elements, portions

MAX_COLUMNS = 10_000

MAX_CELLS = 100_000_000
"""Rows times columns: a few MiB of empty rows under 10,000 columns would otherwise fill a disk with commas."""

_MAX_PROBLEMS = 20
_CELLS_AT_ONCE = 16_384
"""A few milliseconds of work, so that a cancel is heard at once and costs nothing; and little memory, also where a
portion of the text is thousands of empty rows and the columns are thousands, too."""

_RowNames = dict[str, msgspec.Raw]
_names_of_row = msgspec.json.Decoder(_RowNames)
_names_of_rows = msgspec.json.Decoder(list[_RowNames])


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
    for names in _names(data):
        if isinstance(names, msgspec.ValidationError):
            problems.append(Problem(f"/data/{rows}", "type", str(names).replace("`", "")))
            if len(problems) == _MAX_PROBLEMS:
                break
        elif not columns.keys() >= names.keys():
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


def _names(data: msgspec.Raw) -> Iterator[_RowNames | msgspec.ValidationError]:
    """Each row's names, or why it is no row."""
    for portion in portions(data):
        try:
            rows = _names_of_rows.decode(portion)
        except msgspec.ValidationError:
            yield from map(_names_in, elements(portion))
        else:
            yield from rows


def _names_in(row: memoryview) -> _RowNames | msgspec.ValidationError:
    try:
        return _names_of_row.decode(row)
    except msgspec.ValidationError as error:
        return error


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
        columns = payload.table.columns
        with job.artifact("export.csv", "text/csv", deterministic=True) as file:
            file.write(header(columns, escape_formulas=payload.escape_formulas).encode())
            for rows in _watched(payload, job):
                file.write(lines(rows, columns, escape_formulas=payload.escape_formulas).encode())
        return CsvExported(f"{job.id}.csv", payload.table.rows, len(columns))


def _watched(payload: CsvExport, job: Job) -> Iterator[list[dict[str, Any]]]:
    """The rows, some at a time; tells the progress and stops where the job shall stop."""
    total, columns = payload.table
    rows_at_once = max(1, _CELLS_AT_ONCE // max(1, len(columns)))
    done = 0
    for portion in portions(payload.data):
        rows = read_rows(portion)
        for start in range(0, len(rows), rows_at_once):
            if job.cancelled:
                raise ExportStopped(f"stopped after {done + start} of {total} rows")
            job.progress(done + start, total, "rows")
            yield rows[start : start + rows_at_once]
        done += len(rows)
    job.progress(total, total, "rows")
