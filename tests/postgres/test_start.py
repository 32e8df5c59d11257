"""Starting on PostgreSQL: a server that comes later is waited for, a wrong address is one line, and nobody sees the
password."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import NOW
from tests.servers.ports import free_port_settings, free_ports
from tests.servers.postgres import Postgres
from tests.waiting import eventually
from treadle import assemble
from treadle.assemble import new_dispatch, open_runtime, open_store
from treadle.clock import Anchor, rising_seconds
from treadle.dispatch.local import LocalDispatch
from treadle.errors import StoreRefused, Unavailable
from treadle.jobtype import Registry
from treadle.settings import Settings, parse_settings
from treadle.store.postgres.store import PostgresStore
from treadle.telemetry.metrics import Metrics
from treadle.testing import FaultProxy

SOURCE = Path(__file__).parents[2] / "src"


def settings_for(address: str, **more: str) -> Settings:
    return parse_settings({"DATABASE_URL": address, **more})


def with_password(address: str) -> str:
    return address.replace("treadle@", "treadle:geheim@")


async def test_a_server_that_comes_later_is_waited_for_and_that_is_said_once(
    behind_proxy: str, proxy: FaultProxy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "DATABASE_PAUSE_SECONDS", 0.01)
    await proxy.refuse()
    opening = asyncio.create_task(open_store(settings_for(with_password(behind_proxy))))
    await eventually(lambda: "waiting for the database" in caplog.text)

    await proxy.start()
    store = await opening

    await store.ping()
    await store.aclose()
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "•••" in said[0].getMessage()
    assert "geheim" not in caplog.text


async def test_a_server_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "DATABASE_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(assemble, "DATABASE_WAIT_SECONDS", 0.1)
    (port,) = free_ports(1)

    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        await open_store(settings_for(f"postgresql://treadle@127.0.0.1:{port}/jobs"))


async def test_a_server_that_refuses_is_not_waited_for(server: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreRefused):
        await open_store(settings_for(server.address("nowhere")))

    assert "waiting" not in caplog.text


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
async def test_an_address_of_postgres_makes_its_store(address: str, scheme: str) -> None:
    store = await open_store(settings_for(address.replace("postgresql", scheme)))

    assert isinstance(store, PostgresStore)
    await store.aclose()


async def test_a_worker_there_gets_hints_of_its_own_process_and_watches_nothing(store: PostgresStore) -> None:
    dispatch = new_dispatch(settings_for("postgresql://h/d"), store, Metrics(), has_worker=True)

    assert isinstance(dispatch, LocalDispatch)
    assert await dispatch.take(None, 1, 0.0) == []
    assert dispatch._ear is None


async def test_the_time_is_asked_for_again_and_again(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "ANCHOR_SECONDS", 0.01)
    settings = settings_for(address, TREADLE_OUTPUT_DIR=str(tmp_path))
    async with open_runtime(settings, Registry(), has_worker=False) as runtime:
        before = runtime.clock.now()
        later = before + timedelta(days=1)

        async def a_day_later() -> Anchor:
            return Anchor(later, rising_seconds())

        monkeypatch.setattr(runtime.store, "anchor", a_day_later)

        await eventually(lambda: runtime.clock.now() >= later)


async def test_the_time_is_the_servers_and_not_this_machines(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.clock.wall_now", lambda: NOW)

    first, second = await store.anchor(), await store.anchor()

    assert first.wall > NOW
    assert second.wall >= first.wall
    assert second.rising >= first.rising


def treadle(folder: Path, address: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(folder), "DATABASE_URL": address, "PYTHONPATH": str(SOURCE), **free_port_settings()}
    environment["PATH"] = os.environ["PATH"]  # noqa: TID251
    command = [sys.executable, "-m", "treadle", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


def test_migrate_says_what_is_up_to_date_without_its_password(address: str, tmp_path: Path) -> None:
    done = treadle(tmp_path, with_password(address), "migrate")

    assert (done.returncode, done.stdout) == (0, f"{address.replace('treadle@', 'treadle:•••@')} is up to date\n")


@pytest.mark.parametrize("command", ["dev", "api", "worker", "migrate"])
def test_a_wrong_database_is_one_line_and_exit_78(server: Postgres, tmp_path: Path, command: str) -> None:
    done = treadle(tmp_path, with_password(server.address("nowhere")), command)

    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "no such database" in done.stderr
    assert "geheim" not in done.stdout + done.stderr
