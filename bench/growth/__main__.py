"""``python -m bench --growth``: what a job costs where there is more of everything, and what idleness does."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

import msgspec

from bench import results as results_files
from bench.environments import WORK
from bench.growth.curves import Curve, curves_of
from bench.growth.idle import Idle
from bench.growth.page import page_of
from bench.growth.picture import picture_of
from bench.growth.pinned import Pinned
from bench.growth.reach import FULL, QUICK, Reach, up_to
from bench.growth.retention import Retention
from bench.options import a_parser
from bench.progress import begin, console, run_shown, samples_of, show
from bench.results import Results, Server
from bench.sample import Log
from bench.scene import QUICK as QUICK_EFFORT
from bench.scene import Contest, Scene
from bench.servers import POSTGRES_SETTINGS, REDIS_SETTINGS, Servers
from bench.treadle_side import TreadleSide
from bench.verdict import TREADLE
from bench.wrk import NoWrk, need_wrk
from tests.servers.program import MissingServer

POSTGRES = {"max_connections": "1000"}
"""A hundred idle workers hold some connections each; 100, as shipped, are too few for them."""

_LIMIT_SECONDS = 900.0


def contests_of(reach: Reach) -> list[Contest]:
    """All there are, in order."""
    return [
        *curves_of(reach),
        Pinned(reach.pin_seconds, reach.quiet_seconds),
        Retention(reach.expired_rows, reach.retention_seconds, reach.busy_seconds),
        Idle(reach.idle_workers, reach.idle_seconds),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where the run came to its end, whatever it found; 1 where the machine lacks something."""
    options = _parser().parse_args(arguments)
    reach = up_to(QUICK if options.quick else FULL, options.up_to)
    if options.rounds:
        reach = msgspec.structs.replace(reach, rounds=options.rounds)
    contests = [contest for contest in contests_of(reach) if not options.only or contest.name in options.only]
    try:
        if any(isinstance(contest, Retention) for contest in contests):
            need_wrk()
        servers = Servers(WORK / "servers", POSTGRES)
    except (NoWrk, MissingServer) as error:
        console.print(str(error))
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything that was started is ended on the way out
    try:
        return _measure(servers, contests, reach, options)
    except KeyboardInterrupt:
        console.print("Interrupted. What was measured is kept: --resume goes on.")
        return 130
    finally:
        servers.close()


def _measure(servers: Servers, contests: Sequence[Contest], reach: Reach, options: argparse.Namespace) -> int:
    treadle = TreadleSide(_LIMIT_SECONDS)
    with servers.ground() as ground:
        ours = treadle.about(ground)
    effort = msgspec.structs.replace(QUICK_EFFORT, rounds=reach.rounds)
    scene = Scene(servers, treadle, {}, {}, effort)
    log = Log(WORK / "growth.jsonl", {"reach": reach})
    begin(log, resume=options.resume)
    run_shown(scene, contests, log)
    found = Results(
        date=results_files.today(),
        machine=results_files.machine(servers.folder),
        is_quick=options.quick,
        rounds=reach.rounds,
        contests={contest.name: contest.title for contest in contests},
        servers={
            "PostgreSQL": Server(servers.postgres.version, {**POSTGRES_SETTINGS, **POSTGRES}),
            "Redis": Server(servers.redis.version, REDIS_SETTINGS),
        },
        abouts={TREADLE: ours},
        verdicts=[verdict for contest in contests for verdict in contest.verdicts(samples_of(log, contest), {})],
        samples=[sample for contest in contests for sample in samples_of(log, contest)],
        missing={},
        topic="growth",
    )
    show(found)
    curves = [contest for contest in contests if isinstance(contest, Curve)]
    pinned = next((contest for contest in contests if isinstance(contest, Pinned)), None)
    page, picture = page_of(found, curves, pinned), picture_of(found, curves, pinned)
    for path in results_files.write(found, options.results, page, picture):
        console.print(f"Written: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    contests = [contest.name for contest in contests_of(QUICK)]
    parser = a_parser("bench --growth", __doc__, contests, "one round of short samples, no more than a million rows")
    parser.add_argument("--up-to", type=int, default=10**9, metavar="ROWS", help="leave out points with more rows")
    parser.add_argument("--rounds", type=int, default=0, metavar="COUNT", help="another number of rounds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
