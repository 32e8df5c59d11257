"""``python -m bench``: sets everything up, takes every sample, prints and writes the results."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from bench import results as results_files
from bench.builtin_jobs import BuiltinJobs
from bench.chart import chart_of
from bench.contests import PAIRINGS, QUICK_PEERS
from bench.environments import PEERS, WORK, NoEnvironment, command_of, peer_names
from bench.flat import Flat
from bench.growth.__main__ import main as growth
from bench.options import a_parser, names
from bench.peer import Peer
from bench.program import ProgramFailed
from bench.progress import begin, console, run_shown, samples_of, show
from bench.results import Results, Server
from bench.sample import Log
from bench.scene import FULL, QUICK, Contest, Scene
from bench.servers import POSTGRES_SETTINGS, REDIS_SETTINGS, Servers
from bench.side import About
from bench.table import table_of
from bench.treadle_side import TreadleSide
from bench.verdict import TREADLE
from bench.wrk import NoWrk, need_wrk
from tests.servers.program import MissingServer

CONTESTS: Sequence[Contest] = (*PAIRINGS, Flat(), BuiltinJobs())

GROWTH = "--growth"
"""Instead of the comparison: what a job costs where there is more of everything, with options of its own."""

_LIMIT_SECONDS = 900.0
"""For one command of a peer; a quick run's are small."""
_QUICK_LIMIT_SECONDS = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where the run came to its end, whatever it found; 1 where the machine lacks something."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if GROWTH in given:
        given.remove(GROWTH)
        return growth(given)
    options = _parser().parse_args(given)
    contests = [contest for contest in CONTESTS if not options.only or contest.name in options.only]
    try:
        if any(contest.name in ("one", "flat") for contest in contests):
            need_wrk()
        servers = Servers(WORK / "servers")
    except (NoWrk, MissingServer) as error:
        console.print(str(error))
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything that was started is ended on the way out
    try:
        return _measure(servers, contests, options)
    except KeyboardInterrupt:
        console.print("Interrupted. What was measured is kept: --resume goes on.")
        return 130
    finally:
        servers.close()


def _measure(servers: Servers, contests: Sequence[Contest], options: argparse.Namespace) -> int:
    limit_seconds = _QUICK_LIMIT_SECONDS if options.quick else _LIMIT_SECONDS
    treadle = TreadleSide(limit_seconds)
    peers, missing = _peers(_wanted(options), limit_seconds)
    abouts: dict[str, About] = {}
    with servers.ground() as ground:
        ours = treadle.about(ground)
        for name, peer in list(peers.items()):
            try:
                abouts[name] = peer.about(ground)
            except (ProgramFailed, ValueError) as error:
                missing[name] = str(error)
                del peers[name]
    for name, why in missing.items():
        console.print(f"[yellow]{name} does not take part[/yellow]: {why}", markup=True)
    scene = Scene(servers, treadle, peers, abouts, QUICK if options.quick else FULL)
    log = Log(WORK / "samples.jsonl", {"effort": scene.effort, "versions": {n: a.version for n, a in abouts.items()}})
    begin(log, resume=options.resume)
    run_shown(scene, contests, log)
    found = Results(
        date=results_files.today(),
        machine=results_files.machine(servers.folder),
        is_quick=options.quick,
        rounds=scene.effort.rounds,
        contests={contest.name: contest.title for contest in contests},
        servers={
            "PostgreSQL": Server(servers.postgres.version, POSTGRES_SETTINGS),
            "Redis": Server(servers.redis.version, REDIS_SETTINGS),
        },
        abouts={TREADLE: ours, **abouts},
        verdicts=[verdict for contest in contests for verdict in contest.verdicts(samples_of(log, contest), abouts)],
        samples=[sample for contest in contests for sample in samples_of(log, contest)],
        missing=missing,
    )
    table = table_of(found)
    show(found)
    for path in results_files.write(found, options.results, table, chart_of(found)):
        console.print(f"Written: {path}")
    return 0


def _wanted(options: argparse.Namespace) -> list[str]:
    there = peer_names()
    if options.peers:
        for name in set(options.peers) - set(there):
            console.print(f"[yellow]There is no peer {name}[/yellow]; there are: {', '.join(there)}")
        return [name for name in there if name in options.peers]
    return [name for name in there if name in QUICK_PEERS] if options.quick else there


def _peers(names: Sequence[str], limit_seconds: float) -> tuple[dict[str, Peer], dict[str, str]]:
    """Those whose environments are there or could be made, and why the others' could not."""
    peers: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            with console.status(f"Setting up {name}"):
                peers[name] = Peer(name, command_of(name), limit_seconds)
        except NoEnvironment as error:
            missing[name] = str(error)
    return peers, missing


def _parser() -> argparse.ArgumentParser:
    contests = [contest.name for contest in CONTESTS]
    parser = a_parser("bench", __doc__, contests, "one round of small samples, under five minutes")
    parser.add_argument(GROWTH, action="store_true", help="what a job costs with more of everything; --growth --help")
    parser.add_argument("--peers", type=names, default=[], metavar="NAMES", help=f"these peers, of {PEERS.name}/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
