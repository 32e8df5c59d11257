from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builtin.life import ID, Life
from treadle import InvalidInput, Treadle
from treadle.builtin.csv_export import CsvExported, ExportStopped


@pytest.fixture
def app(new_app: Callable[..., Treadle]) -> Treadle:
    return new_app(1)


def problems(app: Treadle, payload: object) -> list[tuple[str, str]]:
    jobtype = app.get("CSV_EXPORT")
    assert jobtype is not None
    with pytest.raises(InvalidInput) as caught:
        jobtype.model.decode(json.dumps(payload).encode())
    return [(problem.pointer, problem.code) for problem in caught.value.problems]


async def test_the_file_is_there_when_the_handler_ends_and_the_result_describes_it(
    app: Treadle, tmp_path: Path
) -> None:
    life = Life(app, "CSV_EXPORT", {"data": [{"a": 1, "b": "é"}, {"b": "=1"}]}, folder=tmp_path)

    result = await life.attempt()

    data = (tmp_path / f"{ID}.csv").read_bytes()
    assert data == "a,b\r\n1,é\r\n,'=1\r\n".encode()
    assert result == CsvExported(file=f"{ID}.csv", rows=2, columns=2)


async def test_no_rows_make_an_empty_file(app: Treadle, tmp_path: Path) -> None:
    result = await Life(app, "CSV_EXPORT", {"data": []}, folder=tmp_path).attempt()

    assert (tmp_path / f"{ID}.csv").read_bytes() == b""
    assert (result.rows, result.columns) == (0, 0)


async def test_every_attempt_writes_the_same_bytes(app: Treadle, tmp_path: Path) -> None:
    rows = [{f"c{n % 7}": n, "t": "x" * (n % 50), "n": [n, {"d": n / 7}]} for n in range(5_000)]
    life = Life(app, "CSV_EXPORT", {"data": rows}, folder=tmp_path)
    digests = set()

    for _ in range(2):
        await life.attempt()
        digests.add(hashlib.sha256((tmp_path / f"{ID}.csv").read_bytes()).hexdigest())

    assert len(digests) == 1


async def test_escaping_can_be_turned_off(app: Treadle, tmp_path: Path) -> None:
    await Life(app, "CSV_EXPORT", {"data": [{"=a": "=1"}], "escapeFormulas": False}, folder=tmp_path).attempt()

    assert (tmp_path / f"{ID}.csv").read_bytes() == b"=a\r\n=1\r\n"


async def test_a_single_cell_of_900_kb_arrives_whole(app: Treadle, tmp_path: Path) -> None:
    await Life(app, "CSV_EXPORT", {"data": [{"a": "ü" * 450_000}]}, folder=tmp_path).attempt()

    assert (tmp_path / f"{ID}.csv").read_bytes() == b"a\r\n" + "ü".encode() * 450_000 + b"\r\n"


async def test_a_stopped_job_leaves_no_file(app: Treadle, tmp_path: Path) -> None:
    life = Life(app, "CSV_EXPORT", {"data": [{"a": n} for n in range(10_000)]}, folder=tmp_path)

    def stop_when_some_rows_are_done() -> None:
        life.is_stopped = life.progress[-1]["done"] > 0

    life.on_progress = stop_when_some_rows_are_done
    with pytest.raises(ExportStopped, match=r"stopped after \d{4} of 10000 rows"):
        await life.attempt()
    assert 0 < life.progress[-1]["done"] < 10_000
    assert not (tmp_path / f"{ID}.csv").exists()


async def test_progress_ends_at_the_number_of_rows(app: Treadle, tmp_path: Path) -> None:
    life = Life(app, "CSV_EXPORT", {"data": [{"a": n} for n in range(5_000)]}, folder=tmp_path)

    await life.attempt()

    done = [told["done"] for told in life.progress]
    assert (done[0], done[-1]) == (0, 5_000)
    assert done == sorted(set(done))
    assert len(done) > 2
    assert {told["total"] for told in life.progress} == {5000}


async def test_a_table_that_is_mostly_blank_is_written_a_few_rows_at_a_time(app: Treadle, tmp_path: Path) -> None:
    rows: list[dict[str, int]] = [{str(n): n for n in range(1_000)}, *[{}] * 3_000]
    life = Life(app, "CSV_EXPORT", {"data": rows}, folder=tmp_path)

    await life.attempt()

    done = [told["done"] for told in life.progress]
    # All in one portion of the payload: together they would be three million cells in memory.
    assert max(after - before for before, after in zip(done, done[1:], strict=False)) <= 20
    assert (tmp_path / f"{ID}.csv").read_bytes().count(b",") == 3_002 * 999


@pytest.mark.parametrize("bad", [3, [{}], "},{"])
def test_a_bad_row_is_found_in_whatever_portion_it_stands_and_named_by_its_place(app: Treadle, bad: object) -> None:
    rows: list[object] = [{"a": n} for n in range(20_000)]
    rows[7] = rows[12_345] = rows[-1] = bad

    assert problems(app, {"data": rows}) == [(f"/data/{n}", "type") for n in (7, 12_345, 19_999)]


def test_a_column_may_first_appear_in_any_portion(app: Treadle) -> None:
    jobtype = app.get("CSV_EXPORT")
    assert jobtype is not None
    rows = [{"a": n} for n in range(20_000)] + [{"c": 1, "b": 2}]

    assert jobtype.model.decode(json.dumps({"data": rows}).encode()).table == (20_001, ("a", "c", "b"))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, [("/data", "required")]),
        ({"data": None}, [("/data", "type")]),
        ({"data": {}}, [("/data", "type")]),
        ({"data": "x"}, [("/data", "type")]),
        ({"data": [{}, 1, [], "x", None, {"a": 1}]}, [(f"/data/{n}", "type") for n in (1, 2, 3, 4)]),
        ({"data": [{"a": 1}], "x": 1}, [("/x", "unknown_field")]),
        ({"data": [1] * 30}, [(f"/data/{n}", "type") for n in range(20)]),
        ({"data": [], "filename": "../../etc/x"}, [("/filename", "unknown_field")]),
        (
            {"data": [], "path": "/etc/x", "escapeFormulas": 1},
            [("/path", "unknown_field"), ("/escapeFormulas", "type")],
        ),
        ({"data": [{str(n): 1 for n in range(10_001)}]}, [("/data", "too_many")]),
        ({"data": [{str(n): 1} for n in range(10_001)]}, [("/data", "too_many")]),
        ({"data": [{str(n): 1 for n in range(10_000)}, *[{}] * 10_000]}, [("/data", "too_many")]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_payloads_are_told_apart_by_pointer_and_code(
    app: Treadle, payload: object, expected: list[tuple[str, str]]
) -> None:
    assert problems(app, payload) == expected


def test_ten_thousand_columns_are_not_too_many(app: Treadle) -> None:
    jobtype = app.get("CSV_EXPORT")
    assert jobtype is not None
    payload = jobtype.model.decode(json.dumps({"data": [{str(n): n for n in range(10_000)}]}).encode())

    assert payload.table.columns == tuple(str(n) for n in range(10_000))


def test_the_schema_says_that_rows_are_objects(app: Treadle) -> None:
    jobtype = app.get("CSV_EXPORT")
    assert jobtype is not None
    [schema] = jobtype.model.json_schema()["$defs"].values()

    assert schema["properties"]["data"]["type"] == "array"
    assert schema["properties"]["data"]["items"] == {"type": "object"}
    assert set(schema["properties"]) == {"data", "escapeFormulas"}
    assert schema["required"] == ["data"]
    assert schema["additionalProperties"] is False


MEASURE = """
import asyncio, json, resource, sys
from pathlib import Path
from tests.builtin.life import Life
from treadle.builtin import MailServer, create_app
app = create_app(MailServer(host="127.0.0.1", port=1, sender="app@example.com"))
row = b'{"id":1234567,"name":"Ada","ok":null}'
payload = b'{"data":[' + (row + b",") * 249_999 + row + b"]}"
scale = 1 if sys.platform == "darwin" else 1024
asyncio.run(Life(app, "CSV_EXPORT", b'{"data":[{"a":1}]}', folder=Path(sys.argv[1])).attempt())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = asyncio.run(Life(app, "CSV_EXPORT", payload, folder=Path(sys.argv[1])).attempt())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([len(payload), (after - before) * scale, result.rows]))
"""


def test_an_export_of_9_mib_of_short_rows_needs_less_than_half_its_size(tmp_path: Path) -> None:
    # In a process of its own: the peak of this one is somebody else's.
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURE), str(tmp_path)],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    size, grown, rows = json.loads(ran.stdout)

    assert rows == 250_000
    assert size > 9 * 1024 * 1024
    assert grown < size // 2


def test_the_rows_stay_text_in_the_payload(app: Treadle) -> None:
    jobtype = app.get("CSV_EXPORT")
    assert jobtype is not None
    payload: Any = jobtype.model.decode(b'{"data":[{"a":1}]}')

    assert bytes(memoryview(payload.data)) == b'[{"a":1}]'
