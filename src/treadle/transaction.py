"""Jobs inside a user's own transaction: one SQL function, called through whatever connection the user has.

The job exists if and only if the transaction commits. No library is imported here: a connection is known by the
module of its class, and a user who has one has the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from treadle.errors import InvalidInput, Problem
from treadle.ids import JobId

_NAMES = ("type", "payload", "priority", "queue", "run_at", "delay_seconds", "max_attempts", "timeout_seconds", "id")
_CASTS = ("text", "json", "text", "text", "timestamptz", "float8", "int", "float8", "uuid")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of ``treadle_submit``; ``None`` leaves a member to the type's policy."""

    id: JobId
    type: str
    payload: str
    priority: str
    queue: str | None
    run_at: Any
    delay_seconds: float | None
    max_attempts: int | None
    timeout_seconds: float | None

    @property
    def values(self) -> tuple[Any, ...]:
        """In the order of the function's parameters."""
        return tuple(getattr(self, name) for name in _NAMES)

    @property
    def named(self) -> dict[str, Any]:
        """By the function's parameters."""
        return {name: getattr(self, name) for name in _NAMES}


def _sql(marks: Callable[[int, str], str]) -> str:
    arguments = (
        f"CAST({marks(n, name)} AS {cast})" for n, (name, cast) in enumerate(zip(_NAMES, _CASTS, strict=True), 1)
    )
    return f"SELECT treadle_submit({', '.join(arguments)})"


_DOLLARS = _sql(lambda n, name: f"${n}")
_PERCENTS = _sql(lambda n, name: "%s")
_COLONS = _sql(lambda n, name: f":{name}")


async def submit_within(connection: Any, call: Call) -> None:
    """Call it on an asynchronous connection of asyncpg, psycopg or SQLAlchemy. Raises what the library raises.

    Raises ``InvalidInput`` for anything else, and where no transaction is open: the job would be committed at once,
    and whoever hands over a connection means the opposite.
    """
    match _library_of(connection):
        case "asyncpg":
            if not connection.is_in_transaction():
                raise _no_transaction()
            await connection.fetchval(_DOLLARS, *call.values)
        case "psycopg" if _is_async(connection):
            _check_psycopg(connection)
            await connection.execute(_PERCENTS, call.values)
        case "sqlalchemy" if _is_async(connection):
            _check_sqlalchemy(connection)
            await connection.execute(_text(), call.named)
        case _:
            raise _unknown(connection, "an asyncpg Connection, a psycopg AsyncConnection, or SQLAlchemy's AsyncSession")


def submit_within_blocking(connection: Any, call: Call) -> None:
    """The same on a blocking connection of psycopg or SQLAlchemy."""
    match _library_of(connection):
        case "psycopg" if not _is_async(connection):
            _check_psycopg(connection)
            connection.execute(_PERCENTS, call.values)
        case "sqlalchemy" if not _is_async(connection):
            _check_sqlalchemy(connection)
            connection.execute(_text(), call.named)
        case _:
            raise _unknown(connection, "a psycopg Connection, or SQLAlchemy's Session or Connection")


def after_commit(connection: Any, announce: Callable[[], None]) -> None:
    """Call ``announce`` once the transaction has committed, where the library can tell; nothing where it cannot.

    Only SQLAlchemy's sessions can: asyncpg and psycopg know no such moment, and a scan finds the job.
    """
    session = getattr(connection, "sync_session", connection)
    if _library_of(session) != "sqlalchemy":
        return
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    if isinstance(session, Session):
        # Should the transaction be rolled back, the listener hears the session's next commit: a hint for a job that
        # is not there, which costs a worker one id.
        event.listen(session, "after_commit", lambda _: announce(), once=True)


def _library_of(connection: Any) -> str:
    return next(
        (
            library
            for kind in type(connection).__mro__
            if (library := kind.__module__.partition(".")[0]) in {"asyncpg", "psycopg", "sqlalchemy"}
        ),
        "",
    )


def _is_async(connection: Any) -> bool:
    return any(kind.__name__.startswith("Async") for kind in type(connection).__mro__)


def _check_psycopg(connection: Any) -> None:
    # Outside autocommit psycopg opens a transaction with the first statement: that is the user's own.
    if connection.autocommit and connection.info.transaction_status.name == "IDLE":
        raise _no_transaction()


def _check_sqlalchemy(connection: Any) -> None:
    bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
    if bind.dialect.name != "postgresql":
        raise InvalidInput([Problem("/connection", "type", "the connection must be one to PostgreSQL")])


def _text() -> Any:
    from sqlalchemy import text

    return text(_COLONS)


def _no_transaction() -> InvalidInput:
    return InvalidInput(
        [Problem("/connection", "no_transaction", "no transaction is open: submit inside one, or without connection=")]
    )


def _unknown(connection: Any, wanted: str) -> InvalidInput:
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    return InvalidInput([Problem("/connection", "type", f"expected {wanted}, not {kind}")])
