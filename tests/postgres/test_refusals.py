"""What a store refuses to start on, each in one plain line, and never with a password in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.postgres.conftest import NewStore
from tests.servers import running
from tests.servers.ports import free_ports
from tests.servers.postgres import Postgres
from tests.waiting import eventually
from treadle.errors import StoreRefused, TreadleError, Unavailable
from treadle.store.postgres.address import shown
from treadle.store.postgres.store import PostgresStore


async def refusal(store: PostgresStore) -> TreadleError:
    with pytest.raises(TreadleError) as caught:
        await store.open(migrate=True)
    return caught.value


def database_of(address: str) -> str:
    return address.rpartition("/")[2]


@pytest.fixture
def database_setting(server: Postgres, address: str) -> Iterator[Callable[[str], None]]:
    """Sets something for every session that begins on the test's database from then on."""

    def execute(change: str) -> None:
        with server.admin() as connection:
            connection.execute(f"ALTER DATABASE {database_of(address)} {change}".encode())

    yield lambda setting: execute(f"SET {setting}")
    execute("RESET ALL")


async def test_synchronous_commit_off_is_refused_unless_loss_is_accepted(
    database_setting: Callable[[str], None], new_store: NewStore
) -> None:
    database_setting("synchronous_commit = off")

    error = await refusal(new_store())

    assert isinstance(error, StoreRefused)
    assert "synchronous_commit off" in str(error)
    assert "TREADLE_ACCEPT_LOSS=1" in str(error)
    await new_store(accept_loss=True).open(migrate=True)


async def test_fsync_off_is_refused_unless_loss_is_accepted(new_store: NewStore) -> None:
    server = Postgres(running.machine_postgres().installation, running.place(), {"fsync": "off"})
    server.start()
    try:
        address = server.address(server.new_database())

        error = await refusal(new_store(address))

        assert isinstance(error, StoreRefused)
        assert "fsync off" in str(error)
        accepting = new_store(address, accept_loss=True)
        await accepting.open(migrate=True)
        await accepting.aclose()
    finally:
        server.stop()


async def test_a_database_that_only_reads_is_unavailable(
    database_setting: Callable[[str], None], new_store: NewStore
) -> None:
    database_setting("default_transaction_read_only = on")

    error = await refusal(new_store())

    assert isinstance(error, Unavailable)
    assert "read-only" in str(error)


async def test_a_database_that_turns_read_only_is_unavailable_for_pings_and_writes(
    server: Postgres, database_setting: Callable[[str], None], address: str, store: PostgresStore
) -> None:
    database_setting("default_transaction_read_only = on")
    with server.admin() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database_of(address),)
        )

    async def says_that_it_only_reads(call: Callable[[], Awaitable[object]]) -> bool:
        with pytest.raises(Unavailable) as caught:
            await call()
        return "read-only" in str(caught.value)

    await eventually(lambda: says_that_it_only_reads(store.ping))
    await eventually(lambda: says_that_it_only_reads(lambda: store.declare_queues(["a"])))


async def test_an_encoding_that_cannot_hold_every_text_is_refused(server: Postgres, new_store: NewStore) -> None:
    with server.admin() as connection:
        connection.execute("CREATE DATABASE latin1 OWNER treadle ENCODING 'LATIN1' TEMPLATE template0")

    try:
        assert "encoding is LATIN1" in str(await refusal(new_store(server.address("latin1"))))
    finally:
        with server.admin() as connection:
            connection.execute("DROP DATABASE latin1")


async def test_a_database_that_is_not_there_is_refused(server: Postgres, new_store: NewStore) -> None:
    error = await refusal(new_store(server.address("nowhere")))

    assert isinstance(error, StoreRefused)
    assert "no such database" in str(error)


async def test_a_role_that_is_not_there_is_refused(server: Postgres, new_store: NewStore) -> None:
    error = await refusal(new_store(f"postgresql://nobody:geheim@127.0.0.1:{server.port}/postgres"))

    assert isinstance(error, StoreRefused)
    assert "geheim" not in str(error)


async def test_a_server_that_is_not_there_is_unavailable(new_store: NewStore) -> None:
    (port,) = free_ports(1)

    error = await refusal(new_store(f"postgresql://treadle:geheim@127.0.0.1:{port}/jobs"))

    assert isinstance(error, Unavailable)
    assert f"treadle:•••@127.0.0.1:{port}/jobs" in str(error)
    assert "geheim" not in str(error)


async def test_a_host_that_nobody_knows_is_unavailable(new_store: NewStore) -> None:
    error = await refusal(new_store("postgresql://treadle@db.invalid/jobs"))

    assert isinstance(error, Unavailable)
    assert "db.invalid" in str(error)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://treadle:geheim@127.0.0.1:port/jobs",
        "postgresql://treadle:geheim@127.0.0.1:99999999/jobs",
        "postgresql://treadle:geheim@127.0.0.1/jobs?sslmode=perhaps",
    ],
)
async def test_an_address_that_leads_nowhere_is_said_to_be_one(new_store: NewStore, address: str) -> None:
    error = await refusal(new_store(address))

    assert isinstance(error, StoreRefused)
    assert "geheim" not in str(error)


async def test_encryption_that_was_asked_for_and_is_not_there_is_not_done_without(
    address: str, new_store: NewStore
) -> None:
    error = await refusal(new_store(f"{address}?sslmode=require"))

    assert "SSL" in str(error)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u:•••@h:1/d"),
        ("postgresql://u:p%40@h/d", "postgresql://u:•••@h/d"),
        ("postgresql://u:p@w@h/d", "postgresql://u:•••@h/d"),
        ("postgresql://u:p:w@h/d", "postgresql://u:•••@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d?user=u&password=p&sslmode=disable", "postgresql://h/d?user=u&password=•••&sslmode=disable"),
        ("postgresql:///d?host=/run", "postgresql:///d?host=/run"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, expected: str) -> None:
    assert shown(address) == expected


async def test_a_store_that_was_refused_lets_go_of_everything(
    server: Postgres, database_setting: Callable[[str], None], address: str, new_store: NewStore
) -> None:
    database_setting("synchronous_commit = off")
    await refusal(new_store())

    def connections() -> int:
        with server.admin() as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (database_of(address),)
            ).fetchone()
        assert row is not None
        return int(row[0])

    await eventually(lambda: connections() == 0)
