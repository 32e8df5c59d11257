"""The judgement: each promise against the records, in one place. A violation is a sentence; none of them is a pass.

Of mail nobody can promise one copy (RFC 5321 4.5.3.2.6). What can be held to: each copy beyond a recipient's first has
a cause of its own, on record with somebody else than the sender. There are two. The mail server took the message and
cut the connection before its answer: it counts those itself. Or the worker died, or stood still past its lease, between
the dot and the commit: then a crash stands in the job's row, and behind that crash a kill or a pause of that very
process, by the nemesis's own record. So, for every recipient: copies - 1 <= cuts after the dot + crashes of the job.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.torture.evidence import Evidence, order_in, order_of
from tests.torture.ledger import Line, by_job
from tests.torture.mailsink import Mail
from tests.torture.orders import Orders

_SLACK = timedelta(seconds=1)
"""Between a moment in a row and the same one in the record of who did it."""

_MAIL_FAILURES = {"AnswerLost", "MailServerUnavailable", "MailServerRefused", "RecipientsDeferred"}
_TEMPORARY = re.compile(r"\.(?P<job>[0-9a-f-]{36})\..*\.tmp")
_SHOWN = 5


@dataclass
class Verdict:
    """``violations`` by promise; a promise that was kept has none."""

    violations: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return not any(self.violations.values())

    def __str__(self) -> str:
        lines = []
        for promise, found in self.violations.items():
            lines.append(f"{'ok  ' if not found else 'FAIL'} {promise}" + (f": {len(found)}" if found else ""))
            lines += [f"       {text}" for text in found[:_SHOWN]]
        return "\n".join(lines)


def judge(evidence: Evidence) -> Verdict:
    """Every promise, whatever became of the others."""
    promises: dict[str, Callable[[Evidence], Iterator[str]]] = {
        "what was acknowledged is there, once": _acknowledged,
        "every job is completed": _completed,
        "an attempt starts once, and an extra start names the attempt it replaces": _starts,
        "every ended attempt is on record, and every crash has its kill or pause": _ends,
        "a worker that dies takes along what it ran and two batches more, no queue": _taken_along,
        "a result is the last attempt's own": _results,
        "a saved step is never lost": _saved,
        "no file is torn, none is left half": _files,
        "an extra mail has a cut or a crash behind it": _mails,
        "no illegal row": lambda e: (f"{what}: {ids[:3]}" for what, ids in e.illegal.items()),
        "nothing else went wrong": lambda e: iter(e.wrong),
    }
    verdict = Verdict({promise: list(check(evidence)) for promise, check in promises.items()})
    verdict.numbers = _numbers(evidence)
    return verdict


def _acknowledged(evidence: Evidence) -> Iterator[str]:
    yield from (f"{job_id} was answered for two orders" for job_id in evidence.answered_twice)
    numbers, doubtful = Counter(evidence.acked.values()), Counter(evidence.doubtful)
    yield from (f"order {n} was never acknowledged" for n in range(evidence.orders.count) if n not in numbers)
    yield from (f"order {n} was acknowledged under {count} ids" for n, count in numbers.items() if count > 1)
    for job_id, number in evidence.acked.items():
        job = evidence.jobs.get(job_id)
        if job is None:
            yield f"LOST: {job_id} was acknowledged, and is not there"
        elif job["type"] != evidence.orders.order(number).type:
            yield f"{job_id} was acknowledged as another type than {job['type']}"
    for job_id in evidence.jobs.keys() - evidence.acked.keys():
        named = order_of(evidence, job_id)
        if named is None or doubtful[named] == 0:
            yield f"{job_id} is there twice, as order {named}: nobody was promised it, and no submission was in doubt"
        else:
            doubtful[named] -= 1


def _completed(evidence: Evidence) -> Iterator[str]:
    for job_id, job in evidence.jobs.items():
        if job["status"] != "completed":
            yield f"{job_id} ({job['type']}) is {job['status']}: {job['error']}"


def _starts(evidence: Evidence) -> Iterator[str]:
    starts = by_job(line for line in evidence.ledger if line.phase == "start")
    for job_id in starts.keys() - evidence.jobs.keys():
        yield f"{job_id} was started, and is not there"
    for job_id, job in evidence.jobs.items():
        started = [line.attempt for line in starts.get(job_id, ())]
        yield from (f"{job_id}: attempt {n} started {c} times" for n, c in Counter(started).items() if c > 1)
        if job["status"] == "completed" and job["attempts"] not in started:
            yield f"{job_id}: attempt {job['attempts']} completed, and never started"
        replaced = {error["attempt"] for error in job["errors"]}
        unnamed = [n for n in started if n not in replaced and n != job["attempts"]]
        if len(unnamed) > evidence.snoozes.get(job_id, 0):
            yield f"{job_id}: attempts {unnamed} were started and replaced, and nothing says why"


def _ends(evidence: Evidence) -> Iterator[str]:
    for job_id, job in evidence.jobs.items():
        kinds = [error["kind"] for error in job["errors"]]
        crashes = sum(kind in {"crash", "poison"} for kind in kinds)
        if (crashes, len(kinds) - crashes) != (job["crashes"], job["failures"]):
            yield f"{job_id}: {job['crashes']} crashes and {job['failures']} failures, and on record are {kinds}"
        others = job["attempts"] - 1 - len(kinds) - evidence.snoozes.get(job_id, 0)
        if job["status"] == "completed" and not 0 <= others <= evidence.released.get(job_id, 0):
            yield f"{job_id}: {others} attempts of {job['attempts']} ended, and nothing says how"
        for error in job["errors"]:
            why = _wrong_with(evidence, job, error)
            if why is not None:
                yield f"{job_id} ({job['type']}), attempt {error['attempt']}: {why}"


def _wrong_with(evidence: Evidence, job: Any, error: Any) -> str | None:
    """Why this attempt should not have ended so; ``None`` where it may."""
    if error["kind"] in {"crash", "poison"}:
        pid = evidence.leases.get(error["worker"])
        began, ended = datetime.fromisoformat(error["startedAt"]), datetime.fromisoformat(error["endedAt"])
        for hurt in evidence.hurts:
            if hurt.pid == pid and hurt.costs_lease() and began - _SLACK <= hurt.at <= ended + _SLACK:
                return None
        return f"a crash of worker {error['worker']} (pid {pid}) to which nothing had been done"
    allowed = {"CSV_EXPORT": set[str](), "EMAIL_SEND": _MAIL_FAILURES, "STEPS": {"OnPurpose"}}[job["type"]]
    return None if error["kind"] in allowed else f"failed with {error['kind']}: {error['message'][:200]}"


def _taken_along(evidence: Evidence) -> Iterator[str]:
    crashed = [e["worker"] for job in evidence.jobs.values() for e in job["errors"] if e["kind"] in {"crash", "poison"}]
    bound = 3 * evidence.concurrency
    for worker, count in Counter(crashed).items():
        if count > bound:
            yield f"worker {worker} took {count} jobs along, with {evidence.concurrency} slots"


def _results(evidence: Evidence) -> Iterator[str]:
    for job_id, job in evidence.jobs.items():
        if job["type"] != "STEPS" or job["status"] != "completed":
            continue
        number = evidence.acked.get(job_id, (job["result"] or {}).get("number"))
        if job["result"] != {"number": number, "attempt": job["attempts"]}:
            yield f"{job_id}: the result is {job['result']}, the attempt {job['attempts']}, the order {number}"
        receipt = evidence.output / f"{job_id}.{job['attempts']}.receipt.txt"
        if not receipt.exists() or receipt.read_bytes() != f"{number} {job['attempts']}\n".encode():
            yield f"{job_id}: {receipt.name} is not there, or not what its attempt wrote"


def _saved(evidence: Evidence) -> Iterator[str]:
    effects = by_job(evidence.effects)
    for job_id, lines in by_job(evidence.ledger).items():
        saved: list[Line] = []
        for line in lines:
            if line.phase == "saved":
                saved.append(line)
                continue
            # By earlier attempts: one stopped before its handler may begin when a later one is well on its way.
            known = max((before.done for before in saved if before.attempt < line.attempt), default=0)
            if line.done < known:
                yield f"{job_id}: attempt {line.attempt} began at step {line.done}, and {known} had been saved"
        job = evidence.jobs.get(job_id)
        if job is not None and job["type"] == "STEPS" and job["status"] == "completed":
            steps = {line.done for line in effects.get(job_id, ())}
            if not steps or steps != set(range(max(steps) + 1)):
                yield f"{job_id}: completed, and its effects are of steps {sorted(steps)}"


def _files(evidence: Evidence) -> Iterator[str]:
    for job_id, job in evidence.jobs.items():
        if job["type"] == "CSV_EXPORT" and job["status"] == "completed":
            why = torn(evidence.orders, evidence.output / f"{job_id}.csv", evidence.acked.get(job_id))
            if why is not None:
                yield why
    for path in evidence.output.iterdir():
        left = _TEMPORARY.fullmatch(path.name)
        if left is not None:
            # Its writer was killed in the midst of it; the pruner removes it after an hour.
            writer = evidence.jobs.get(left["job"])
            if writer is None or writer["crashes"] == 0:
                yield f"{path.name} is left over, and no crash of its job says why"


def torn(orders: Orders, path: Path, number: int | None = None) -> str | None:
    """What is wrong with a published export; ``None``: its bytes are those of its order, which its rows name."""
    named = order_in(path)
    if not path.exists():
        return f"{path.name} is not there"
    content = path.read_bytes()
    if named is None:
        return f"TORN: {path.name} has {len(content)} bytes and no row"
    if number is not None and named != number:
        return f"{path.name} holds the rows of order {named}, not of {number}"
    return (
        None if content == orders.csv(named) else f"TORN: {path.name} has {len(content)} bytes, others than it should"
    )


def _mails(evidence: Evidence) -> Iterator[str]:
    for job_id in evidence.mails.keys() - evidence.jobs.keys():
        yield f"mail of {job_id}, which is not there"
    for job_id, job in evidence.jobs.items():
        if job["type"] != "EMAIL_SEND":
            continue
        mail = evidence.mails.get(job_id, Mail())
        number = evidence.acked.get(job_id)
        if job["status"] == "completed" and number is not None:
            missing = [each for each in evidence.orders.recipients(number) if each not in mail.copies]
            if missing:
                yield f"LOST: {job_id} is completed, and {missing} got nothing"
        if len(mail.contents) > 1:
            yield f"{job_id}: the copies differ"
        for recipient, copies in mail.copies.items():
            allowed = 1 + mail.cut_after_dot[recipient] + job["crashes"]
            if copies > allowed:
                yield f"{job_id}: {recipient} got {copies} copies, and cuts and crashes explain {allowed}"


def _numbers(evidence: Evidence) -> dict[str, int]:
    starts = [line for line in evidence.ledger if line.phase == "start"]
    mails = evidence.mails.values()
    crashed = [e for job in evidence.jobs.values() for e in job["errors"] if e["kind"] in {"crash", "poison"}]
    per_hurt = Counter(error["worker"] for error in crashed)
    return {
        "acknowledged": len(evidence.acked),
        "completed": sum(job["status"] == "completed" for job in evidence.jobs.values()),
        "failed or dead": sum(job["status"] in {"failed", "dead"} for job in evidence.jobs.values()),
        "lost": len(evidence.acked.keys() - evidence.jobs.keys()),
        "stored twice (unanswered, without a key)": len(evidence.jobs.keys() - evidence.acked.keys()),
        "handler starts": len(starts),
        "extra starts": len(starts) - len({line.job_id for line in starts}),
        "crashes on record": len(crashed),
        "leases lost with jobs": len(per_hurt),
        "most jobs one lease took along": max(per_hurt.values(), default=0),
        "failures on record": sum(job["failures"] for job in evidence.jobs.values()),
        "attempts snoozed": sum(evidence.snoozes.values()),
        "claims given back": sum(evidence.released.values()),
        "mails taken": sum(sum(mail.copies.values()) for mail in mails),
        "mails extra": sum(copies - 1 for mail in mails for copies in mail.copies.values()),
        "mails cut after the dot": sum(sum(mail.cut_after_dot.values()) for mail in mails),
        "most crashes of a built-in job": max(
            (job["crashes"] for job in evidence.jobs.values() if job["type"] != "STEPS"), default=0
        ),
    }
