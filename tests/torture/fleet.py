"""The processes under torture: two APIs and four workers, each started again when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import treadle
from tests.servers import running
from tests.servers.ports import free_ports
from tests.torture.ambush import ALWAYS, Ambush, Successor, ambush, is_stopped
from tests.torture.stopping import Stop
from treadle.clock import wall_now

_APPS = Path(__file__).parent / "apps"
APIS = 2
WORKERS = 4
LEASE_SECONDS = 2.5

# Recovery in seconds instead of minutes. The lease is long against what a loaded machine does to a healthy worker: one
# that is starved for a whole lease is lost by right, and would be told here as lost without a reason.
PACE = {
    "TREADLE_LEASE_SECONDS": str(LEASE_SECONDS),
    "TREADLE_HEARTBEAT_SECONDS": "0.5",
    "TREADLE_SWEEP_SECONDS": "0.5",
    "TREADLE_RECONCILE_SECONDS": "1",
    "TREADLE_POLL_SECONDS": "0.2",
    "TREADLE_RETRY_BASE_SECONDS": "0.2",
    "TREADLE_GRACE_SECONDS": "10",
    "TREADLE_LOG_FORMAT": "json",
}

_AMBUSH_SECONDS = 2.5 * LEASE_SECONDS
_FIRST_AMBUSH_SECONDS = 30.0
"""For what is waited for; it comes within two leases, unless the machine is so busy that watchers lose count."""

_GATHER_SECONDS = 12.0
"""As long as a pause may last that is going on already."""

_STORE_DOES_NOT_ANSWER = 75
"""A process that is started while the store is away says so and leaves; its supervisor starts it again."""


@dataclass
class Hurt:
    """What was done to one process, when, by the machine's clock."""

    name: str
    pid: int
    kind: str
    """``kill``, ``pause``, ``suspend`` (paused together with everybody else), or ``ambush``: seen to stand still."""
    at: datetime
    until: datetime | None = None
    """When a paused one went on."""

    def costs_lease(self, lease_seconds: float = LEASE_SECONDS) -> bool:
        """Whether a lease may be lost by it. A beat may have been due the moment it began. Where everybody slept,
        nobody has watched anybody stand still.
        """
        if self.kind == "suspend":
            return False
        # An ambushed one had stood still before it was seen: on a busy machine, for a second or two.
        if self.kind == "ambush" or self.until is None:
            return True
        return (self.until - self.at).total_seconds() >= lease_seconds - 1


@dataclass
class Member:
    """One place in the fleet, and the process that holds it now."""

    name: str
    settings: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: int = 0
    ambush: Ambush | None = None
    is_busy: bool = False
    """Something is being done to it: nobody else shall."""


@dataclass
class Fleet:
    """Keeps its members running until ``stop``. ``hurts``: what was done to them; ``deaths``: what was not."""

    folder: Path
    seed: int
    settings: Mapping[str, str]
    """Over ``PACE``."""
    is_ended: Callable[[int], bool]
    """Whether the lease of a worker's process has ended. Blocking."""
    is_armed: bool = True
    """With ambushes."""
    members: dict[str, Member] = field(default_factory=dict)
    hurts: list[Hurt] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    """Ambushes that were walked into."""
    starts_without_store: int = 0
    over: Stop = field(default_factory=Stop)
    """Set: nobody is started any more."""
    opened: Stop = field(default_factory=Stop)
    """Set: the first ambushes are over. Undisturbed until then, their victims are surely taken for dead."""

    def __post_init__(self) -> None:
        self._guard = running.place().guard
        self.goes_to_sleep = self._is_asleep = False
        self._first_ambushes = set(ALWAYS) if self.is_armed else set()
        for number, port in enumerate(free_ports(APIS)):
            self._add(Member(f"api{number}", {"API_PORT": str(port)}))
        for number in range(WORKERS):
            self._add(Member(f"worker{number}", {}))

    def _add(self, member: Member) -> None:
        self.members[member.name] = member

    @property
    def ports(self) -> list[int]:
        """Of the APIs."""
        return [int(m.settings["API_PORT"]) for m in self.members.values() if "API_PORT" in m.settings]

    def of(self, kind: str) -> list[Member]:
        """The running members whose name begins so, and to whom nothing is being done."""
        return [m for m in self._free() if m.name.startswith(kind)]

    def _free(self) -> list[Member]:
        running = (m for m in self.members.values() if m.process is not None and m.process.poll() is None)
        return [m for m in running if not m.is_busy]

    async def keep_running(self) -> None:
        """Start every member, and again when it has ended, until it is over."""
        async with asyncio.TaskGroup() as tasks:
            while not await self.over.within(0.2):
                for member in () if self._is_asleep else self.members.values():
                    if member.process is None or member.process.poll() is not None:
                        self._replace(member)
                    elif member.ambush is not None and not member.is_busy and is_stopped(member.process.pid):
                        self._meet(member.ambush)
                        tasks.create_task(self._wait_for_the_worst(member, member.ambush))
                        member.ambush = None
                if not self._first_ambushes:
                    self.opened.set()

    async def _wait_for_the_worst(self, member: Member, ambush: Ambush) -> None:
        """Let a stopped process go on, at the moment at which it can do most harm."""
        assert member.process is not None
        pid = member.process.pid
        name = f"{member.name}.{member.started - 1}"
        seconds = _FIRST_AMBUSH_SECONDS if name in self._first_ambushes else _AMBUSH_SECONDS
        worst = Stop()
        going_on = asyncio.create_task(self.pause(member, seconds, worst, kind="ambush"))
        successor = Successor(self.folder / "ledger.txt", pid)
        while not (going_on.done() or await self.over.within(0.03)):
            # For a claim it is any moment after the lease has ended; an outcome must meet who runs the job now.
            if ambush.line == "worker.before_claim":
                if await asyncio.to_thread(self.is_ended, pid):
                    break
            elif successor.has_begun():
                break
        worst.set()
        await going_on
        self._first_ambushes.discard(name)

    def _replace(self, member: Member) -> None:
        if member.process is not None:
            self._guard.forget(member.process.pid)
            code = member.process.poll()
            if code == _STORE_DOES_NOT_ANSWER:
                self.starts_without_store += 1
            elif code != -signal.SIGKILL or not self._is_explained(member):
                self.deaths.append(f"{member.name} ended by itself with {code}; see its log {member.started - 1}")
        self._start(member)

    def _is_explained(self, member: Member) -> bool:
        """Whether it was killed by somebody here, or by its own ambush."""
        assert member.process is not None
        if any(hurt.pid == member.process.pid and hurt.kind == "kill" for hurt in self.hurts):
            return True
        if member.ambush is None or member.ambush.action != "kill9":
            return False
        self._meet(member.ambush)
        self.hurts.append(Hurt(member.name, member.process.pid, "kill", wall_now()))
        return True

    def _meet(self, ambush: Ambush) -> None:
        self.met[f"{ambush.action} at {ambush.line}"] += 1

    def _start(self, member: Member) -> None:
        command = member.name.rstrip("0123456789")
        member.ambush = ambush(self.seed, command, f"{member.name}.{member.started}") if self.is_armed else None
        environment = {
            "PATH": os.environ["PATH"],  # noqa: TID251  (a clean environment, made of this one)
            "HOME": str(self.folder),
            # The very package that this run imported, wherever it is installed.
            "PYTHONPATH": os.pathsep.join(map(str, (_APPS, Path(treadle.__file__).parents[1]))),
            "TREADLE_APP": "steps:app",
            **PACE,
            **self.settings,
            **member.settings,
            **(member.ambush.settings if member.ambush is not None else {}),
        }
        with (self.folder / f"{member.name}.{member.started}.log").open("wb") as log:
            member.process = subprocess.Popen(
                [sys.executable, "-m", "treadle", command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        member.started += 1
        self._guard.watch(member.process.pid, signal.SIGKILL)

    def kill(self, member: Member) -> None:
        """End it without a word."""
        assert member.process is not None
        self.hurts.append(Hurt(member.name, member.process.pid, "kill", wall_now()))
        member.process.kill()

    async def pause(self, member: Member, seconds: float, stop: Stop, *, kind: str = "pause") -> None:
        """Stop it in its tracks, and let it go on."""
        assert member.process is not None
        hurt = Hurt(member.name, member.process.pid, kind, wall_now())
        self.hurts.append(hurt)
        member.is_busy = True
        member.process.send_signal(signal.SIGSTOP)
        try:
            await stop.within(seconds)
        finally:
            member.process.send_signal(signal.SIGCONT)
            hurt.until = wall_now()
            member.is_busy = False

    async def suspend(self, seconds: float, stop: Stop) -> bool:
        """Stop all of them at once, as a machine that sleeps; ``False`` where they are never all there.

        Nobody is started meanwhile: it would be awake, and right to take the others for dead.
        """
        self.goes_to_sleep = True
        try:
            give_up_at = time.monotonic() + _GATHER_SECONDS
            while len(members := self._free()) < len(self.members):
                if time.monotonic() > give_up_at or await stop.within(0.05):
                    return False
            self._is_asleep = True
            async with asyncio.TaskGroup() as tasks:
                for member in members:
                    tasks.create_task(self.pause(member, seconds, stop, kind="suspend"))
        finally:
            self._is_asleep = self.goes_to_sleep = False
        return True

    async def stop(self, within_seconds: float = 30) -> list[str]:
        """Ask every member to end, for good; what went wrong with that."""
        self.over.set()
        return await asyncio.to_thread(self._stop, within_seconds)

    def _stop(self, within_seconds: float) -> list[str]:
        for member in self.members.values():
            if member.process is not None and member.process.poll() is None:
                member.process.terminate()
                member.process.send_signal(signal.SIGCONT)  # it may have walked into its ambush just now
        wrong = []
        for member in self.members.values():
            if member.process is not None:
                try:
                    if code := member.process.wait(within_seconds):
                        wrong.append(f"{member.name}, asked to end, ended with {code}")
                except subprocess.TimeoutExpired:
                    wrong.append(f"{member.name}, asked to end, did not")
                    member.process.kill()
                    member.process.wait()
        return wrong

    def close(self) -> None:
        """End what still runs."""
        for member in self.members.values():
            if member.process is not None:
                member.process.kill()
                member.process.wait()
                self._guard.forget(member.process.pid)
