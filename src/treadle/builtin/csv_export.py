"""``CSV_EXPORT``: rows of JSON become ``output/{jobId}.csv``. Same payload, same bytes."""

from __future__ import annotations

import csv
import io

import msgspec

from treadle import InvalidInput, Job, NonRetryable, Problem, Treadle
from treadle.builtin.csv_text import cell, escaped

MAX_COLUMNS = 10_000
MAX_CELLS = 100_000_000
"""Rows times columns: empty rows under many columns would otherwise write a thousand times what was sent."""
MAX_REPORTED = 20
PROGRESS_ROWS = 2_000
"""Between two looks at ``job.cancelled``: a few milliseconds of work."""

_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROW = msgspec.json.Decoder(dict[str, object])


class CsvExport(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """``data``: the rows, each an object. They stay text until written, so a large export needs little memory."""

    data: list[msgspec.Raw]
    escape_formulas: bool = True

    def __post_init__(self) -> None:
        """Every row is an object, and the columns are not too many."""
        problems: list[Problem] = []
        for index, row in enumerate(self.data):
            if bytes(memoryview(row)[:1]) != b"{":
                problems.append(Problem(f"/data/{index}", "type", "expected an object"))
                if len(problems) == MAX_REPORTED:
                    break
        columns = 0 if problems else len(columns_of(self.data))
        if columns > MAX_COLUMNS:
            problems.append(Problem("/data", "too_many", f"more than {MAX_COLUMNS} columns"))
        elif columns * len(self.data) > MAX_CELLS:
            problems.append(Problem("/data", "too_many", f"more than {MAX_CELLS} cells (rows times columns)"))
        if problems:
            raise InvalidInput(problems)


class CsvResult(msgspec.Struct):
    """What the job answers."""

    file: str
    rows: int
    columns: int


def columns_of(rows: list[msgspec.Raw]) -> list[str]:
    """The union of the rows' keys in first-seen order."""
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(_KEYS.decode(row)))
        if len(columns) > MAX_COLUMNS:
            break
    return list(columns)


def register_csv_export(app: Treadle) -> None:
    """Register the type."""

    @app.job("CSV_EXPORT")
    def csv_export(payload: CsvExport, job: Job) -> CsvResult:
        columns = columns_of(payload.data)
        with job.artifact("export.csv", "text/csv", deterministic=True) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
            _write(text, columns, payload, job)
            text.flush()
            text.detach()
        return CsvResult(f"{job.id}.csv", len(payload.data), len(columns))


def _write(text: io.TextIOWrapper, columns: list[str], payload: CsvExport, job: Job) -> None:
    """Header and rows as RFC 4180 has them; nothing at all where there are no rows."""
    if not payload.data:
        return
    escape = payload.escape_formulas
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([escaped(name) if escape else name for name in columns])
    for index, raw in enumerate(payload.data):
        row = _ROW.decode(raw)
        writer.writerow([cell(row.get(name), escape=escape) for name in columns])
        if index % PROGRESS_ROWS == PROGRESS_ROWS - 1:
            if job.cancelled:
                raise NonRetryable("stopped: a cancel was requested or the time is up")
            job.progress(index + 1, len(payload.data), "rows")
