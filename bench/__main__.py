"""``python -m bench``: sets everything up, takes every sample, prints and writes the results."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import results as results_files
from bench.builtin_jobs import BuiltinJobs
from bench.chart import chart_of
from bench.contests import PAIRINGS, QUICK_PEERS
from bench.environments import PEERS, ROOT, WORK, NoEnvironment, command_of, peer_names
from bench.flat import Flat
from bench.peer import Peer
from bench.program import ProgramFailed
from bench.results import Results, Server
from bench.run import run
from bench.sample import Log, Sample
from bench.scene import FULL, QUICK, Contest, Scene
from bench.servers import POSTGRES_SETTINGS, REDIS_SETTINGS, Servers
from bench.side import About
from bench.table import bar_text, measure, number, table_of, verdict_word
from bench.treadle_side import TreadleSide
from bench.verdict import TREADLE
from bench.wrk import NoWrk, need_wrk
from tests.servers.program import MissingServer

CONTESTS: Sequence[Contest] = (*PAIRINGS, Flat(), BuiltinJobs())

_LIMIT_SECONDS = 900.0
"""For one command of a peer; a quick run's are small."""
_QUICK_LIMIT_SECONDS = 120.0

console = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where the run came to its end, whatever it found; 1 where the machine lacks something."""
    options = _parser().parse_args(arguments)
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
    if options.resume and log.resume():
        console.print(f"Going on after {len(log.samples)} samples.")
    else:
        if options.resume:
            console.print("There is no interrupted run of these peers and sizes; starting anew.")
        log.begin()
    _run(scene, contests, log)
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
        verdicts=[verdict for contest in contests for verdict in contest.verdicts(_of(log, contest), abouts)],
        samples=log.samples,
        missing=missing,
    )
    table = table_of(found)
    _show(found)
    for path in results_files.write(found, options.results, table, chart_of(found)):
        console.print(f"Written: {path}")
    return 0


def _show(found: Results) -> None:
    """What fits a terminal; the files say more."""
    for name, title in found.contests.items():
        table = Table("against", "min", "median", "max", "bar", "", title=title, title_justify="left", box=None)
        for row in (verdict for verdict in found.verdicts if verdict.contest == name):
            spread = (row.minimum, row.median, row.maximum) if row.values else (None, None, None)
            cells = (measure(value, row.unit) for value in spread)
            table.add_row(found.name_of(row.against), *cells, bar_text(row.bar, row.unit), verdict_word(row).strip("*"))
        Console().print(table)


def _of(log: Log, contest: Contest) -> list[Sample]:
    return [sample for sample in log.samples if sample.contest == contest.name]


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


def _run(scene: Scene, contests: Sequence[Contest], log: Log) -> None:
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    # Drawn seldom: every drawing is taken from what is measured.
    with Progress(*columns, console=console, refresh_per_second=1) as progress:
        task = progress.add_task("", total=None)

        def tell(sample: Sample, done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)
            first = next(iter(sample.values.items()), None)
            what = f"{number(first[1])} {first[0]}" if first else f"[red]{sample.error.splitlines()[0][:200]}[/red]"
            progress.console.print(f"{time.strftime('%H:%M:%S')} {sample.contest} {sample.round} {sample.side}: {what}")

        run(scene, contests, log, lambda what: progress.update(task, description=what), tell)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _contests(text: str) -> list[str]:
    names = _names(text)
    known = [contest.name for contest in CONTESTS]
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"no contest {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of small samples, under five minutes")
    parser.add_argument("--only", type=_contests, default=[], metavar="NAMES", help="these contests, as drain,bulk")
    parser.add_argument("--peers", type=_names, default=[], metavar="NAMES", help=f"these peers, of {PEERS.name}/")
    parser.add_argument("--resume", action="store_true", help="keep the samples of the run that was interrupted")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(main())
