"""What SQLite's errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from treadle.errors import TreadleError, Unavailable, Unstorable

Answer = TypeVar("Answer")


def primary_code(error: sqlite3.Error) -> int | None:
    """What went wrong, without the details (sqlite.org/rescode.html); ``None`` where Python itself complains."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo the transaction, where an error has not done so already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def translated(work: Callable[[], Answer]) -> Answer:
    """Do ``work``, with the driver's errors as the project's."""
    try:
        return work()
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        raise translate(error) from error


def translate(error: Exception) -> TreadleError:
    """The project's error for one of the driver's."""
    refused = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
    if isinstance(error, (OverflowError, UnicodeError, *refused)) or "malformed JSON" in str(error):
        return Unstorable("the database refused the data")
    return Unavailable(f"the database does not answer ({type(error).__name__})")
