"""Connections to one database: how they are made, how long they may take, and what their faults mean.

Every call is one statement, and so one transaction and one round trip. A call runs in a task of its own: whoever
asked may go away (a client that disconnects), and the call still ends, and gives its connection back as it was. None
is ever cancelled on the server: there, a cancel during the wait for a synchronous standby reports a commit that the
standby does not have. What does not answer in time loses its connection instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from treadle.errors import StoreRefused, Unavailable
from treadle.store.postgres.address import shown
from treadle.store.postgres.faults import CONNECTION_FAULTS, NeighbourWon, is_lost, loss, no_connection, refusal
from treadle.store.postgres.lane import Lane
from treadle.store.postgres.statement import Statement
from treadle.telemetry.metrics import Metrics

logger = logging.getLogger("treadle.store")

LANE_CONNECTIONS = 6
"""A process has few kinds of batches, each one at a time; the rest is for reads. A server's default is 100."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 8.0
"""The server gives up on a statement after this, and says so: it is then surely not done."""
ANSWER_SECONDS = 10.0
"""And after this the server, or the way to it, is gone."""
LEASE_ANSWER_SECONDS = 3.0
"""A beat waits less: a lease of 15 s leaves time for four on fresh connections."""
LOCK_SECONDS = 2.0
"""More than deadlock_timeout (1 s), so that a deadlock is seen as one and repeated."""
_REPEAT_PAUSES_SECONDS = (0.0, 0.02, 0.1)
"""Before a statement is sent again that was rolled back for a neighbour's sake."""

SESSION = {
    "statement_timeout": f"{STATEMENT_SECONDS:.0f}s",
    "lock_timeout": f"{LOCK_SECONDS:.0f}s",
    "idle_in_transaction_session_timeout": "10s",
    # A plan made once for an almost empty table would be kept when the table is full.
    "plan_cache_mode": "force_custom_plan",
    # Every statement here goes by an index, and most want its order. Where the planner takes a line of a million for a
    # handful, because it was one when statistics were taken, it would rather read all of it and sort.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "random_page_cost": "1.1",
    # Statements of a millisecond: compiling one, or starting processes for it, takes many.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # The locks below rely on each statement seeing what was committed before it.
    "default_transaction_isolation": "read committed",
}
"""What every session is told. A PgBouncer passes on no startup parameters: there every transaction says it."""

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED;" + "".join(
    f"SET LOCAL {name} = '{value}';" for name, value in SESSION.items() if not name.startswith("default_")
)

Answer = TypeVar("Answer")
Values = Mapping[str, object]
Arguments = Sequence[object]
Rows = list[asyncpg.Record]
Ask = Callable[[asyncpg.Connection, str, Arguments], Awaitable[Answer]]
"""Sends one statement."""


class Connections:
    """All of one process's connections to a database."""

    def __init__(self, address: str, *, pgbouncer: bool, metrics: Metrics | None = None) -> None:
        self._address = address
        self._pgbouncer = pgbouncer
        self._repeats = (metrics or Metrics()).store_repeats
        self._lane = Lane(self._reconnect, LANE_CONNECTIONS)
        self._lease_lane = Lane(self._reconnect, 1)
        self._told = ""
        self._running: set[asyncio.Task[Any]] = set()
        self._is_open = False

    def opened(self) -> None:
        """Let calls through from now on."""
        self._is_open = True

    async def aclose(self) -> None:
        """Finish what was begun, then close every connection. Once more is nothing more."""
        self._is_open = False
        if self._running:
            await asyncio.wait(self._running)
        await self._lane.aclose()
        await self._lease_lane.aclose()

    async def write(self, statement: Statement, values: Values) -> Rows:
        """Run ``statement`` in a transaction. Raises what ``store/protocol`` says (S6)."""
        return await self._call(self._lane, statement, values, _rows, may_write=True)

    async def change(self, statement: Statement, values: Values) -> int:
        """``write`` for what returns nothing: how many rows it changed."""
        return await self._call(self._lane, statement, values, _count, may_write=True)

    async def write_lease(self, statement: Statement, values: Values) -> Rows:
        """The same, on a connection that nothing else may use: the busiest process keeps its lease."""
        return await self._call(self._lease_lane, statement, values, _rows, may_write=True)

    async def read(self, statement: Statement, values: Values) -> Rows:
        """Run ``statement``, which changes nothing. Raises ``Unavailable``."""
        return await self._call(self._lane, statement, values, _rows, may_write=False)

    async def connect(self) -> asyncpg.Connection:
        """A new connection of the caller's own. Raises ``Unavailable``, ``StoreRefused``."""
        connection: asyncpg.Connection | None = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await asyncpg.connect(
                    self._address,
                    server_settings=None if self._pgbouncer else {"application_name": "treadle", **SESSION},
                    statement_cache_size=0 if self._pgbouncer else 100,
                )
                # Bytes in, bytes out: nothing is parsed here, and no text of megabytes is there twice.
                await connection.set_type_codec(
                    "json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary"
                )
        except (*CONNECTION_FAULTS, ValueError, OverflowError) as error:  # the last for a port beyond all ports
            if connection is not None:
                connection.terminate()
            raise no_connection(error, shown(self._address)) from error
        return connection

    async def _reconnect(self) -> asyncpg.Connection:
        """A connection for a call. Why there is none is for the log: a client is not told addresses."""
        try:
            connection = await self.connect()
        except (StoreRefused, Unavailable) as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("%s", self._told)
            raise Unavailable("the database takes no connection") from error
        self._told = ""
        return connection

    async def _call(
        self, lane: Lane, statement: Statement, values: Values, ask: Ask[Answer], *, may_write: bool
    ) -> Answer:
        if not self._is_open:
            raise Unavailable("the store is closed, or not open yet")
        task = asyncio.create_task(self._run(lane, statement, values, ask, may_write=may_write))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _run(
        self, lane: Lane, statement: Statement, values: Values, ask: Ask[Answer], *, may_write: bool
    ) -> Answer:
        arguments = statement.arguments(values)
        for pause_seconds in (*_REPEAT_PAUSES_SECONDS, None):
            async with lane.borrow() as connection:
                try:
                    return await self._send(lane, connection, ask, statement.text, arguments, may_write=may_write)
                except NeighbourWon as error:
                    if pause_seconds is None:
                        raise Unavailable(str(error)) from error
                    self._repeats.add(1, "neighbour")
            await asyncio.sleep(pause_seconds)
        raise AssertionError("the last round returns or raises")

    async def _send(
        self, lane: Lane, connection: asyncpg.Connection, ask: Ask[Answer], text: str, arguments: Arguments, *,
        may_write: bool,
    ) -> Answer:  # fmt: skip
        may_be_done = may_write and not self._pgbouncer
        seconds = LEASE_ANSWER_SECONDS if lane is self._lease_lane else ANSWER_SECONDS
        deadline = asyncio.get_running_loop().call_later(seconds, _give_up, lane, connection)
        try:
            if not self._pgbouncer:
                return await ask(connection, text, arguments)
            await connection.execute(_BEGIN)
            answer = await ask(connection, text, arguments)
            may_be_done = may_write
            await connection.execute("COMMIT")
            return answer
        except Exception as error:
            if not is_lost(connection, error):
                await _roll_back(connection)
                raise refusal(error) from error
            connection.terminate()
            raise loss(may_be_done=may_be_done) from error
        finally:
            deadline.cancel()


async def _rows(connection: asyncpg.Connection, text: str, arguments: Arguments) -> Rows:
    rows: Rows = await connection.fetch(text, *arguments)
    return rows


async def _count(connection: asyncpg.Connection, text: str, arguments: Arguments) -> int:
    tag: str = await connection.execute(text, *arguments)  # such as UPDATE 256
    return int(tag.rpartition(" ")[2])


async def _roll_back(connection: asyncpg.Connection) -> None:
    """End a failed transaction, so that its connection serves the next one. It can commit nothing in any case."""
    try:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
    except CONNECTION_FAULTS:
        connection.terminate()


def _give_up(lane: Lane, connection: asyncpg.Connection) -> None:
    """Nothing was heard in time: whoever waits gets an error. Other connections may lead to the same dead end."""
    connection.terminate()
    lane.forget()
