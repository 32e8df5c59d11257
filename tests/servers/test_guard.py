"""Nothing is left of a run, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.guard import runs
from tests.waiting import eventually_blocking

ROOT = Path(__file__).parents[2]
RUN = """
from tests.servers import running
servers = [running.machine_postgres(), running.wheel_postgres(), running.redis(), running.valkey(), running.pgbouncer()]
servers[2].program.pause()
place = running.place()
print(place.folder, place.guard.process.pid, *(server.program.pid for server in servers), flush=True)
input()
"""


@pytest.mark.parametrize("how", ["kill", "leave"])
def test_a_run_takes_its_servers_with_it(how: str) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdin is not None
    folder, *words = run.stdout.readline().split()
    pids = [int(word) for word in words]
    assert len(pids) == 6
    assert all(map(runs, pids))
    assert Path(folder).is_dir()

    if how == "kill":
        run.kill()
    run.stdin.close()
    run.wait()
    run.stdout.close()

    try:
        eventually_blocking(lambda: not any(map(runs, pids)))
        assert not Path(folder).exists()
    finally:
        for pid in filter(runs, pids):  # a guard that fails its test shall not fill the machine
            os.kill(pid, signal.SIGKILL)
