"""The fault run in short, on every rung: some hundred jobs, every kind of fault there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.outage import outage
from tests.torture.run import Options, torture

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.timeout(300)]

SEED = 4
SECONDS = {"sqlite": 22, "postgres": 28, "postgres+redis": 32}
"""Room for every kind of fault of the rung, one every 1.2 s or so."""


async def test_whatever_is_done_to_it_every_job_completes_and_every_extra_start_has_its_reason(
    rung: str, tmp_path: Path
) -> None:
    seconds = SECONDS[rung]

    report = await torture(Options(rung, 25 * seconds, SEED, seconds, 1.2, 3, tmp_path), print)

    assert report.is_good, f"{report.verdict}\n{report.rare}"


async def test_without_its_redis_it_is_as_good(tmp_path: Path) -> None:
    report = await torture(Options("redis-off", 500, SEED, 22, 1.2, 3, tmp_path), print)

    assert report.is_good, f"{report.verdict}\n{report.rare}"


async def test_a_database_that_is_away_for_three_leases_costs_no_second_start(rung: str, tmp_path: Path) -> None:
    verdict = await outage(rung, SEED, tmp_path, print)

    assert verdict.is_good, str(verdict)
