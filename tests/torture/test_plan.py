"""The plan and the orders: the same seed, the same run."""

from __future__ import annotations

import csv
import io

from tests.torture.orders import Orders
from tests.torture.plan import FLEET, plan
from treadle.builtin import csv_text


def test_the_same_seed_makes_the_same_plan_and_another_one_another() -> None:
    one = plan(7, FLEET, seconds=100, every_seconds=2)

    assert plan(7, FLEET, seconds=100, every_seconds=2) == one
    assert plan(8, FLEET, seconds=100, every_seconds=2) != one


def test_every_kind_comes_where_there_is_room_and_none_after_the_end() -> None:
    for seed in range(50):
        faults = plan(seed, FLEET, seconds=1.5 * len(FLEET) + 1.5, every_seconds=1)

        assert {fault.kind for fault in faults[: len(FLEET)]} == set(FLEET)
        assert all(before.at < after.at for before, after in zip(faults, faults[1:], strict=False))
        assert faults[-1].at < 1.5 * len(FLEET) + 1.5


def test_the_same_seed_makes_the_same_orders_and_units_leave_none_out() -> None:
    orders = Orders(3, 500)

    assert [orders.order(n) for n in range(500)] == [Orders(3, 500).order(n) for n in range(500)]
    assert [n for unit in orders.units() for n in range(unit.first, unit.first + unit.count)] == list(range(500))
    assert any(unit.count > 1 for unit in orders.units())
    assert {unit.key is None for unit in orders.units()} == {True, False}


def test_the_expected_file_is_what_a_reader_of_csv_makes_the_rows_of() -> None:
    orders = Orders(5, 300)
    for number in range(0, 300, 3):
        rows = orders.order(number).payload["data"]
        columns = list(dict.fromkeys(name for row in rows for name in row))

        header, *lines = csv.reader(io.StringIO(orders.csv(number).decode(), newline=""))

        assert header == columns
        assert len(lines) == len(rows)
        assert (csv_text.header(columns) + csv_text.lines(rows, columns)).encode() == orders.csv(number)
