"""What the driver's errors mean: nothing was done, perhaps something was, or the data was refused."""

from __future__ import annotations

import ssl

import asyncpg

from treadle.errors import OutcomeUnknown, StoreRefused, TreadleError, Unavailable, Unstorable

CONNECTION_FAULTS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Everything that may come out of the driver. ``OSError`` holds ``TimeoutError`` and the network's errors."""

_NEIGHBOURS = {"40001", "40P01"}  # serialization failure, deadlock
_DATA_CLASSES = {"22", "23", "54"}  # data exceptions, violated constraints, limits of the program
_ENDING_CLASSES = {"08", "57P"}  # connection exceptions; shutdowns
_REFUSALS = {
    "28000": "the database does not let this role in",
    "28P01": "the database refuses this password",
    "3D000": "there is no such database",
}
_WORDS = {
    "25006": "the database is read-only: a standby, or default_transaction_read_only is on",
    "26000": "the database has forgotten a prepared statement; if it is a PgBouncer, set TREADLE_PGBOUNCER=1",
    "42P05": "the database knows another prepared statement; if it is a PgBouncer, set TREADLE_PGBOUNCER=1",
    "53100": "the database's disk is full",
    "53300": "the database has no connection left",
    "55P03": "a lock in the database was held for too long",
    "57014": "the database took too long",
}


class NeighbourWon(Unavailable):
    """The statement was rolled back for a neighbour's sake: it may be sent again at once."""


def is_lost(connection: asyncpg.Connection, error: Exception) -> bool:
    """Whether the connection went with ``error``, so that the server's last word is missing.

    What is FATAL counts as that too: it may stand where the answer to a commit would.
    """
    if connection.is_closed() or not isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError)):
        return True
    sqlstate = getattr(error, "sqlstate", None) or ""
    return sqlstate[:2] in _ENDING_CLASSES or sqlstate[:3] in _ENDING_CLASSES


def loss(*, may_be_done: bool) -> TreadleError:
    """The error for a lost connection. ``may_be_done``: the statement, or its commit, had been handed over."""
    if may_be_done:
        return OutcomeUnknown("the connection to the database was lost before it answered")
    return Unavailable("the connection to the database was lost")


def refusal(error: Exception) -> Exception:
    """The error for what the server said on a connection that lives: it rolled back, so surely nothing is done."""
    if not isinstance(error, asyncpg.PostgresError):
        return error  # the driver complains of its use: a bug, to be seen as one
    sqlstate = error.sqlstate or ""
    if sqlstate[:2] in _DATA_CLASSES:
        return Unstorable("the database refused the data")
    if sqlstate in _NEIGHBOURS:
        return NeighbourWon(f"neighbours in the database got in the way each time (SQLSTATE {sqlstate})")
    return Unavailable(f"{_WORDS.get(sqlstate, 'the database could not do this')} (SQLSTATE {sqlstate})")


def no_connection(error: Exception, shown: str) -> TreadleError:
    """The error for an attempt to connect to the address ``shown``; nothing has been sent."""
    said = str(error.args[0] if error.args else error) or type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        if "startup parameter" in said:
            return StoreRefused(f"{shown} seems to be a PgBouncer: set TREADLE_PGBOUNCER=1 ({said})")
        if error.sqlstate in _REFUSALS:
            return StoreRefused(f"{_REFUSALS[error.sqlstate]}: {shown} ({said})")
        return Unavailable(f"the database takes no connection: {shown} ({said})")
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return Unavailable(f"the database does not answer: {shown} ({error.strerror or str(error) or 'timeout'})")
    return StoreRefused(f"this address leads to no database: {shown} ({said})")
