"""Every error that crosses a floor of Treadle, each class with a stable ``code``.

Errors know neither HTTP statuses (``web/problems.py``) nor exit codes (``cli/main.py``), and no driver's
exception leaves the seams: backends turn theirs into these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where (a JSON Pointer, RFC 6901), a stable code, and what was expected.

    ``detail`` never repeats the offending value: it may be secret, huge or markup.
    """

    pointer: str
    code: str
    detail: str


class TreadleError(Exception):
    """The root of the tree."""

    code: ClassVar[str] = "treadle.error"


class InvalidInput(TreadleError):
    """The caller's mistake; ``problems`` names every one that was found."""

    code = "input.invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.detail}" for p in self.problems))


class MalformedJson(InvalidInput):
    """The bytes are not one strict JSON document."""

    code = "input.malformed_json"


class NotFound(TreadleError):
    """No such thing."""

    code = "not_found"


class Unauthorized(TreadleError):
    """The server wants an API key or a login, or does not take the one it was shown."""

    code = "unauthorized"


class UnexpectedAnswer(TreadleError):
    """Something answered, and not as Treadle does: a bug there (the message names the request), or another program."""

    code = "client.unexpected_answer"


class NotFinished(TreadleError, TimeoutError):
    """The time that somebody wanted to wait for a job is up; the job goes on."""

    code = "client.not_finished"


class Conflict(TreadleError):
    """The thing exists, but its state does not allow this."""

    code = "conflict"


class IllegalTransition(Conflict):
    """The status table has no such edge from the job's present status."""

    code = "job.illegal_transition"


class LeaseLost(Conflict):
    """The attempt is no longer this worker's: its outcome is dropped."""

    code = "job.lease_lost"


class KeyInFlight(Conflict):
    """A request with this idempotency key is being committed right now."""

    code = "key.in_flight"


class KeyReused(Conflict):
    """This idempotency key was used with another body."""

    code = "key.reused"


class Unavailable(TreadleError):
    """The store did not answer, and what was asked for was not done. Trying again is right."""

    code = "store.unavailable"

    def __init__(self, detail: str = "the store does not answer", *, retry_after_seconds: int = 2) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(detail)


class OutcomeUnknown(Unavailable):
    """A commit was sent and its answer was lost: it may have been applied.

    The only right move is to send the same batch with the same ids again.
    """

    code = "store.outcome_unknown"


class Overloaded(Unavailable):
    """The queue before a batch is full: refused at once rather than kept waiting."""

    code = "store.overloaded"


class Unstorable(TreadleError):
    """The database refused a batch for its data; nothing of the batch was written."""

    code = "data.not_storable"


class StoreRefused(TreadleError):
    """The store cannot be used as it is (schema too new, weak durability, not a database): start-up ends."""

    code = "store.refused"


class RegistrationError(TreadleError):
    """A job type was registered wrongly; the message says how to mend it."""

    code = "jobtype.registration"


class SettingsError(TreadleError):
    """One or more settings are wrong; ``problems`` are whole sentences, all of them at once."""

    code = "settings.invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))
