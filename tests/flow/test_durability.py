"""A 201 is on disk: seen from the system calls of the server, and from what is left after it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.flow.conftest import NewStack
from tests.flow.machine import needs_strace
from tests.flow.stack import children

SUBMITTERS = 1000


async def submit_at_once(port: int, count: int) -> list[str]:
    """``count`` connections, all open before the first one submits; the ids of their jobs."""
    body = json.dumps({"type": "LEDGER", "payload": {}}).encode()
    request = (
        b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]

    async def submit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(request)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 201 "), answer[:200]
        return str(json.loads(answer.partition(b"\r\n\r\n")[2])["jobId"])

    return list(await asyncio.gather(*(submit(reader, writer) for reader, writer in connections)))


@dataclass
class Trace:
    """What strace saw, as positions in the order of events."""

    inserted: dict[str, int] = field(default_factory=dict)
    """Where a job's id first went into the WAL."""
    flushes: list[tuple[int, int]] = field(default_factory=list)
    """Begin and end of each successful fdatasync of the WAL."""
    answered: dict[str, int] = field(default_factory=dict)
    """Where a job's id first went into a socket."""

    def is_flushed_before_answer(self, job_id: str) -> bool:
        """Whether a flush began after the insert and ended before the answer."""
        return any(self.inserted[job_id] < begin and end < self.answered[job_id] for begin, end in self.flushes)


_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")


def read_trace(path: Path) -> Trace:
    """The events of a trace written with ``strace -f -yy -s``."""
    trace = Trace()
    begun: dict[str, int] = {}
    for position, line in enumerate(path.read_text(errors="replace").splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        pid, rest = match["pid"], match["rest"]
        if rest.startswith(("fdatasync(", "fsync(")) and "treadle.db-wal" in rest:
            if "<unfinished" in rest:
                begun[pid] = position
            elif rest.rstrip().endswith("= 0"):
                trace.flushes.append((position, position))
        elif rest.startswith(("<... fdatasync resumed", "<... fsync resumed")):
            if pid in begun and rest.rstrip().endswith("= 0"):
                trace.flushes.append((begun.pop(pid), position))
        elif rest.startswith("pwrite64(") and "treadle.db-wal" in rest:
            for job_id in _ID.findall(rest):
                trace.inserted.setdefault(job_id, position)
        elif "TCP" in rest.split(",", 1)[0] or "socket" in rest.split(",", 1)[0]:
            for job_id in _ID.findall(rest):
                trace.answered.setdefault(job_id, position)
    return trace


@needs_strace
@pytest.mark.only_on("sqlite", reason="it watches Treadle write its own file; elsewhere the database does")
def test_every_201_of_a_thousand_submitters_follows_a_flush_of_its_own_insert(new_stack: NewStack) -> None:
    stack = new_stack()
    trace_file = stack.folder / "trace.txt"
    calls = "trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg"
    strace = ("strace", "-f", "-yy", "-s", "9000", "-e", calls, "-o", str(trace_file))
    traced = stack.start("api", prefix=strace, settings={"TREADLE_LOG_LEVEL": "error"})

    ids = asyncio.run(submit_at_once(stack.api_port, SUBMITTERS))
    [server] = children(traced.pid)
    os.kill(server, signal.SIGTERM)
    traced.wait(timeout=60)

    trace = read_trace(trace_file)
    assert len(set(ids)) == SUBMITTERS
    assert set(ids) <= trace.inserted.keys()
    assert set(ids) <= trace.answered.keys()
    late = [job_id for job_id in ids if not trace.is_flushed_before_answer(job_id)]
    assert not late
    # Group commit: they shared flushes instead of waiting for one each.
    last_answer = max(trace.answered[job_id] for job_id in ids)
    assert len([end for _, end in trace.flushes if end < last_answer]) < SUBMITTERS / 4


@pytest.mark.parametrize("after", [1, 150, 600])
def test_after_a_kill_of_the_server_every_201_is_a_row(new_stack: NewStack, after: int) -> None:
    stack = new_stack()
    server = stack.start("api")
    acknowledged: list[str] = []
    enough = threading.Event()

    def submit_until_it_dies() -> None:
        with stack.new_client() as client:
            while True:
                try:
                    answer = client.post("/jobs", json={"type": "LEDGER", "payload": {}})
                except Exception:  # the server is gone: that is the end of this submitter
                    return
                assert answer.status_code == 201
                acknowledged.append(answer.json()["jobId"])
                if len(acknowledged) >= after:
                    enough.set()

    submitters = [threading.Thread(target=submit_until_it_dies) for _ in range(8)]
    for submitter in submitters:
        submitter.start()
    assert enough.wait(timeout=60)
    server.send_signal(signal.SIGKILL)
    for submitter in submitters:
        submitter.join(timeout=60)

    assert len(acknowledged) >= after
    assert set(acknowledged) <= stack.rows()


@pytest.mark.parametrize("failpoint", ["api.before_commit", "api.after_commit"])
def test_a_server_killed_around_a_commit_tells_no_lie(new_stack: NewStack, failpoint: str) -> None:
    stack = new_stack()
    server = stack.start("api", settings={"TREADLE_TESTING": "1", "TREADLE_FAILPOINTS": f"{failpoint}=kill9@3"})
    acknowledged = [stack.submit("LEDGER", {}), stack.submit("LEDGER", {})]
    with stack.new_client() as client, pytest.raises(Exception, match="disconnected|reset|closed|eof|EOF"):
        client.post("/jobs", json={"type": "LEDGER", "payload": {}})
    assert server.wait(timeout=30) == -signal.SIGKILL

    found = stack.rows()
    assert set(acknowledged) <= found
    assert len(found) == 2 + (failpoint == "api.after_commit")
    # What was committed and never announced is found by the worker's own look.
    stack.start("api")
    stack.start("worker")
    assert {stack.finish(job_id)["status"] for job_id in found} == {"completed"}
