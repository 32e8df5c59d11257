"""A peer whose store is one file with a number in it: the least that keeps the contract. A program of its own."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["BENCH_DIR"])  # noqa: TID251  (the contract's)
PENDING = FOLDER / "pending"
LAYOUT = struct.Struct("<qdd")


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def pending() -> int:
    return int(PENDING.read_text() or 0) if PENDING.exists() else 0


def put(jobs: int) -> None:
    new = FOLDER / f"new-{os.getpid()}"
    new.write_text(str(jobs))
    new.rename(PENDING)


def rest() -> None:
    time.sleep(0.001)  # noqa: TID251  (a program, no test)


def starts() -> tuple[int, float]:
    found = [LAYOUT.unpack(path.read_bytes()) for path in FOLDER.glob("starts-*")]
    return (found[0][0], found[0][2]) if found else (0, 0.0)


def work() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    done, first = 0, 0.0
    while True:
        jobs = pending()
        if jobs:
            last = time.monotonic()
            done, first = done + jobs, first or last
            put(0)
            mark = FOLDER / "mark"
            mark.write_bytes(LAYOUT.pack(done, first, last))
            mark.rename(FOLDER / f"starts-{os.getpid()}")
        rest()


def watch(jobs: int) -> None:
    say(watching=True)
    while starts()[0] < jobs or pending():
        rest()
    say(empty_at=time.monotonic())


def ping(count: int) -> None:
    latencies = []
    for _ in range(count):
        before, begun_at = starts()[0], time.monotonic()
        put(1)
        while starts()[0] == before:
            rest()
        latencies.append((starts()[1] - begun_at) * 1000)
    say(latencies_ms=latencies)


def main(command: str, options: dict[str, str]) -> None:
    print("not JSON: some library greets", flush=True)
    match command:
        case "about":
            say(name="Stub", package="stub", version="1", language="Python", store="Redis", page="", submits=["bulk"])
        case "prepare":
            put(0)
            say(prepared=True)
        case "submit":
            if options["--jobs"] == "13":
                sys.exit("13 brings bad luck")
            put(int(options["--jobs"]))
            say(seconds=0.5, jobs=int(options["--jobs"]))
        case "work":
            work()
        case "watch":
            watch(int(options["--jobs"]))
        case "ping":
            ping(int(options["--count"]))


if __name__ == "__main__":
    rest_of = sys.argv[2:]
    main(sys.argv[1], dict(zip(rest_of[::2], rest_of[1::2], strict=True)))
