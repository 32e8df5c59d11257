"""The servers that tests stand on do what their tests will think they do."""

from __future__ import annotations

import os

import psycopg
import pytest
import redis as client_library
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import running
from tests.servers.postgres import Postgres, wheel_installation
from tests.servers.redis import Redis, machine_redis

POSTGRES = {"machine": running.machine_postgres, "wheel": running.wheel_postgres}
AT_ONCE = Retry(NoBackoff(), 0)
REDIS = {"redis": running.redis, "valkey": running.valkey}


@pytest.fixture(params=POSTGRES)
def postgres(request: pytest.FixtureRequest) -> Postgres:
    return POSTGRES[request.param]()


@pytest.fixture(params=REDIS)
def redis(request: pytest.FixtureRequest) -> Redis:
    return REDIS[request.param]()


def test_the_header_names_what_runs(postgres: Postgres, redis: Redis) -> None:
    bouncer = running.pgbouncer()

    header = ", ".join(running.names())

    assert "MISSING" not in header
    for server in (postgres, redis, bouncer):
        assert server.version == server.installation.version
        assert server.installation.name in header


def test_versions_are_the_ones_treadle_promises_to_run_on() -> None:
    machine, wheel = running.machine_postgres().version, running.wheel_postgres().version

    assert int(machine.split(".")[0]) >= 15
    assert wheel.startswith("18.")
    assert int(running.redis().version.split(".")[0]) >= 7
    assert running.valkey().version.startswith("9.")


def test_the_cluster_is_one_that_treadle_accepts(postgres: Postgres) -> None:
    with postgres.database() as address, psycopg.connect(address) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (False,)


def test_a_used_database_comes_back_empty(postgres: Postgres) -> None:
    with postgres.database() as first:
        name = first.rpartition("/")[2]
        left_open = psycopg.connect(first)
        left_open.execute("CREATE TABLE jobs (id int PRIMARY KEY)")
        left_open.execute("CREATE TYPE colour AS ENUM ('red')")
        left_open.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        left_open.execute("CREATE SCHEMA other CREATE TABLE t ()")
        left_open.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        left_open.commit()
        left_open.execute("LOCK TABLE jobs")

    with postgres.database() as second, psycopg.connect(second) as connection:
        assert second == first
        kinds = "SELECT count(*) FROM pg_{0} WHERE {1}namespace = 'public'::regnamespace"
        for kind, prefix in (("class", "rel"), ("proc", "pro"), ("type", "typ")):
            assert connection.execute(kinds.format(kind, prefix)).fetchone() == (0,)
        assert connection.execute("SELECT to_regnamespace('other')").fetchone() == (None,)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        connection.execute("CREATE TABLE jobs ()")
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT 1")


@pytest.mark.parametrize("how", ["restart", "kill", "stop"])
def test_committed_rows_outlive_the_server(postgres: Postgres, how: str) -> None:
    with postgres.database() as address:
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS x")

        match how:
            case "restart":
                postgres.restart()
            case "kill":
                postgres.program.kill()
                postgres.start()
            case "stop":
                postgres.stop()
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(address)
                postgres.start()

        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT x FROM t").fetchone() == (1,)


def test_a_cluster_may_be_configured_otherwise() -> None:
    unsafe = Postgres(wheel_installation(), running.place(), {"fsync": "off"})
    unsafe.start()
    with unsafe.admin() as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
    unsafe.stop()


def test_a_bouncer_hands_out_a_connection_a_transaction() -> None:
    bouncer, postgres = running.pgbouncer(), running.machine_postgres()
    with postgres.database() as address:
        clients = [psycopg.connect(bouncer.in_front_of(address)) for _ in range(2)]
        behind = []
        for client in clients:
            behind.append(client.execute("SELECT pg_backend_pid(), current_user").fetchone())
            client.commit()
        for client in clients:
            client.close()
    assert behind[0] == behind[1]
    assert behind[0] is not None
    assert behind[0][1] == "treadle"


def test_a_paused_server_answers_again(redis: Redis) -> None:
    redis.program.pause()
    with pytest.raises(client_library.TimeoutError):
        client_library.Redis.from_url(redis.address, socket_timeout=0.05, retry=AT_ONCE).ping()

    redis.program.resume()
    assert redis.client().ping()


def test_a_restarted_redis_is_empty(redis: Redis) -> None:
    redis.client().set("a", 1)
    redis.restart()
    assert redis.client().get("a") is None


def test_a_flushed_redis_is_empty(redis: Redis) -> None:
    redis.client().set("a", 1)
    redis.flush()
    assert redis.client().get("a") is None


def test_redis_may_want_a_password_and_tls() -> None:
    guarded = Redis(machine_redis(), running.place(), password="s3cret", tls=True, options=["--maxmemory", "2mb"])
    guarded.start()
    with guarded.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": "2097152"}
    with pytest.raises(client_library.ConnectionError):
        client_library.Redis(port=guarded.port, retry=AT_ONCE).ping()
    guarded.program.end()


def test_what_ended_is_really_gone() -> None:
    server = Redis(machine_redis(), running.place())
    server.start()
    pid = server.program.pid

    server.program.kill()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(client_library.ConnectionError):
        server.client().ping()
