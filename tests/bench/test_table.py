"""The table says what was reached and what was missed, and what stands beside each number."""

from __future__ import annotations

from pathlib import Path

from bench.chart import chart_of
from bench.results import Results, read, write
from bench.table import table_of


def row_of(table: str, start: str) -> list[str]:
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in row.strip("|").replace("\\|", "/").split("|")]


def test_a_row_has_both_figures_the_spread_and_the_verdict(results: Results) -> None:
    drain = table_of(results).partition("## Idle latency")[0]
    beside = "keeps of a finished job: nothing / at all; after a kill: lost"
    assert row_of(drain, "Huey") == [
        "Huey <3", "21,000 jobs/s", "2,500 jobs/s", "7.90×", "8.50×", "9.00×", "≥ 8×", "reached", beside,
    ]  # fmt: skip
    assert row_of(drain, "RQ")[3:8] == ["7.00×", "7.50×", "120×", "≥ 8×", "**missed**"]


def test_without_a_bar_there_is_no_verdict_and_without_samples_no_figure(results: Results) -> None:
    latency = table_of(results).partition("## Idle latency")[2].partition("## What becomes")[0]
    assert row_of(latency, "Huey")[5:8] == ["0.60×", "", ""]
    assert row_of(latency, "RQ")[3:8] == ["", "", "", "≤ 2.5×", "**not measured**"]
    assert "it broke at once" in row_of(latency, "RQ")[8]
    assert row_of(latency, "Treadle's p99")[3:8] == ["4.00 ms", "4.40 ms", "11.0 ms", "≤ 10 ms", "reached"]


def test_the_page_says_where_with_what_and_what_is_missing(results: Results) -> None:
    table = table_of(results)
    assert "Bars reached: 2; missed: 2" in table
    assert "AMD EPYC" in table
    assert "huey 3.5.0 (Python)" in table
    assert "https://huey.example/page" in table
    assert "- celery: pip said no" in table
    assert "## Flat" not in table


def test_results_are_kept_and_read_back_and_never_overwritten(results: Results, tmp_path: Path) -> None:
    first = write(results, tmp_path, table_of(results), chart_of(results))
    second = write(results, tmp_path, table_of(results), chart_of(results))
    assert [path.name for path in first] == [
        f"2026-11-24-amd-epyc-7b13-2-cores.{kind}" for kind in ("json", "md", "svg")
    ]
    assert [path.stem for path in second] == ["2026-11-24-amd-epyc-7b13-2-cores-2"] * 3
    assert table_of(read(first[0])) == table_of(results)
    assert read(first[0]).samples == results.samples
    assert "(2026-11-24-amd-epyc-7b13-2-cores-2.svg)" in second[1].read_text()
