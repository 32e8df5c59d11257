"""compose.yaml, resolved: who can reach it, as whom it runs, what it waits for, and what it is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.compose.resolved import OWN, ROOT, compose, environment_of, resolve, seconds
from treadle.errors import SettingsError
from treadle.hostname import HostNames
from treadle.httpserver import HTTP_GRACE_SECONDS
from treadle.settings import parse_settings
from treadle.worker.worker import LAST_WORDS_SECONDS

Services = dict[str, dict[str, Any]]
Resolve = Callable[..., Services]


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """As they are without a ``.env``."""
    found: Services = resolve(tmp_path)["services"]
    return found


@pytest.fixture
def with_dotenv(tmp_path: Path) -> Resolve:
    """Resolves with lines in ``.env``, and with a shell's environment."""

    def with_lines(*lines: str, environment: Mapping[str, str] | None = None) -> Services:
        found: Services = resolve(tmp_path, dotenv="\n".join(lines), environment=environment)["services"]
        return found

    return with_lines


def ports_of(services: Services) -> list[tuple[str, str, str, int]]:
    return sorted(
        (name, port.get("host_ip", ""), port["published"], port["target"])
        for name, service in services.items()
        for port in service.get("ports", ())
    )


# ------------------------------------------------------------------------------ the file


def test_compose_takes_the_file_and_would_refuse_a_wrong_one(tmp_path: Path) -> None:
    resolve(tmp_path)
    for right, wrong in (("healthcheck:", "healtcheck:"), ("  db: {condition", "  bd: {condition")):
        text = (tmp_path / "compose.yaml").read_text()
        assert right in text
        (tmp_path / "compose.yaml").write_text(text.replace(right, wrong))
        assert compose(tmp_path, "config", "--quiet", environment={}).returncode != 0
        (tmp_path / "compose.yaml").write_text(text)


def test_these_are_the_services_and_one_image_is_built_for_ours(services: Services) -> None:
    assert set(services) == {*OWN, "db", "redis"}
    assert {services[name]["image"] for name in OWN} == {"treadle:local"}
    assert [name for name in OWN if "build" in services[name]] == ["api"]
    assert {services[name].get("pull_policy") for name in OWN if name != "api"} == {"never"}
    assert [services[name]["command"] for name in OWN] == [["api"], ["worker"], ["mailbox"]]


@pytest.mark.parametrize(("name", "oldest"), [("db", 15), ("redis", 7)])
def test_the_servers_are_new_enough_and_named_by_version(services: Services, name: str, oldest: int) -> None:
    version = re.search(r":(\d+)", services[name]["image"])
    assert version is not None
    assert int(version[1]) >= oldest


# ------------------------------------------------------------------------------ who can reach it, and as whom it runs


def test_ports_are_published_on_loopback_alone(services: Services) -> None:
    assert ports_of(services) == [
        ("api", "127.0.0.1", "3000", 3000),
        ("mailbox", "127.0.0.1", "1025", 1025),
        ("mailbox", "127.0.0.1", "8025", 8025),
    ]
    assert not any("network_mode" in service or service.get("privileged") for service in services.values())


def test_another_api_port_moves_both_ends(with_dotenv: Resolve) -> None:
    services = with_dotenv("API_PORT=8080")
    assert ("api", "127.0.0.1", "8080", 8080) in ports_of(services)
    assert parse_settings(environment_of(services["api"])).api_port == 8080


def test_nothing_runs_as_root(services: Services) -> None:
    assert {name: service["user"] for name, service in services.items()} == {
        **dict.fromkeys(OWN, "1000:1000"),
        "db": "postgres",
        "redis": "redis",
    }
    for name in OWN:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_the_owner_of_the_output_folder_can_be_named(with_dotenv: Resolve) -> None:
    services = with_dotenv("UID=1001", "GID=121")
    assert {services[name]["user"] for name in OWN} == {"1001:121"}


def test_what_is_open_without_a_login_is_so_on_purpose_and_a_login_closes_it(with_dotenv: Resolve) -> None:
    bare = parse_settings(environment_of(with_dotenv()["api"]))
    assert (bare.open, bare.host, bare.admin_user, bare.api_keys) == (True, "0.0.0.0", None, ())

    services = with_dotenv("ADMIN_USER=admin", "ADMIN_PASS=a password", "TREADLE_API_KEYS=0123456789abcdef")
    guarded = parse_settings(environment_of(services["api"]))
    assert (guarded.admin_user, guarded.admin_pass) == ("admin", "a password")
    assert guarded.api_keys == ("0123456789abcdef",)


def test_half_a_login_is_refused_at_start(with_dotenv: Resolve) -> None:
    with pytest.raises(SettingsError, match="ADMIN_PASS is not set"):
        parse_settings(environment_of(with_dotenv("ADMIN_USER=admin")["api"]))
    with pytest.raises(SettingsError, match="ADMIN_PASS="):
        parse_settings(environment_of(with_dotenv("ADMIN_USER=admin", environment={"ADMIN_PASS": ""})["api"]))


def test_a_login_may_also_come_from_the_shell(with_dotenv: Resolve) -> None:
    services = with_dotenv(environment={"ADMIN_USER": "admin", "ADMIN_PASS": "of the shell"})
    assert parse_settings(environment_of(services["api"])).admin_pass == "of the shell"


def test_the_mailbox_is_told_no_secret(with_dotenv: Resolve) -> None:
    services = with_dotenv("ADMIN_USER=admin", "ADMIN_PASS=CANARY", "POSTGRES_PASSWORD=CANARY")
    assert "CANARY" not in repr(services["mailbox"])
    assert "CANARY" in repr(services["api"])


def test_each_door_listens_where_its_port_is_published_to(services: Services) -> None:
    api, mailbox = (parse_settings(environment_of(services[name])) for name in ("api", "mailbox"))
    assert (api.host, api.api_port) == ("0.0.0.0", 3000)
    assert (mailbox.mailbox_host, mailbox.mailbox_smtp_port, mailbox.mailbox_port) == ("0.0.0.0", 1025, 8025)


def test_each_door_answers_to_the_names_it_has_in_there_and_to_no_others(services: Services) -> None:
    for name, names in {"api": ["api:3000", "localhost:3000"], "mailbox": ["mailbox:8025", "mailhog:8025"]}.items():
        settings = parse_settings(environment_of(services[name]))
        answered = HostNames(settings.host, settings.allowed_hosts)
        assert all(answered.have(host) for host in names)
        assert not answered.have("evil.example:3000")


# ------------------------------------------------------------------------------ health and order


def test_every_service_has_a_health_check(services: Services) -> None:
    for name, service in services.items():
        check = service["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert seconds(check["timeout"]) >= 10
        assert seconds(check["start_period"]) >= 30
        if name in OWN:
            assert check["test"][1:] == ["treadle", "health", name]


def test_nobody_starts_before_what_he_needs_is_healthy(services: Services) -> None:
    needs = {name: service.get("depends_on", {}) for name, service in services.items()}
    assert {name: set(needed) for name, needed in needs.items()} == {
        "api": {"db", "redis"},
        "worker": {"db", "redis", "mailbox"},
        "mailbox": set(),
        "db": set(),
        "redis": set(),
    }
    assert {one["condition"] for needed in needs.values() for one in needed.values()} == {"service_healthy"}


def test_a_container_is_killed_only_after_its_process_had_its_grace(services: Services) -> None:
    for name in OWN:
        settings = parse_settings(environment_of(services[name]))
        longest = settings.grace_seconds + 2 * LAST_WORDS_SECONDS + HTTP_GRACE_SECONDS
        assert seconds(services[name]["stop_grace_period"]) > longest
        assert services[name]["init"] is True  # it hands SIGTERM on, and buries the children of handlers
        assert services[name]["restart"] == "unless-stopped"


# ------------------------------------------------------------------------------ what they are told


def test_every_process_starts_with_what_it_is_told(services: Services) -> None:
    for name in OWN:
        parse_settings(environment_of(services[name]))


def test_every_server_they_are_told_of_is_there_under_that_name(services: Services) -> None:
    told = environment_of(services["worker"])
    assert told == {name: value for name, value in environment_of(services["api"]).items() if name in told} | {
        "TREADLE_HOST": "127.0.0.1"
    }
    database, redis = urlsplit(told["DATABASE_URL"]), urlsplit(told["REDIS_URL"])
    made = services["db"]["environment"]
    assert (database.hostname, database.port) == ("db", 5432)
    assert database.username == made["POSTGRES_USER"] == "user"
    assert database.password == made["POSTGRES_PASSWORD"]
    assert database.path == f"/{made['POSTGRES_DB']}" == "/jobs_db"
    assert (redis.hostname, redis.port) == ("redis", 6379)
    assert told["MAIL_HOST"] == "mailhog"
    assert services["mailbox"]["networks"]["default"]["aliases"] == ["mailhog"]
    assert int(told["MAIL_PORT"]) == parse_settings(environment_of(services["mailbox"])).mailbox_smtp_port == 1025


def test_the_password_of_the_database_comes_from_dotenv_for_both_sides(with_dotenv: Resolve) -> None:
    services = with_dotenv("POSTGRES_PASSWORD=another1")
    assert services["db"]["environment"]["POSTGRES_PASSWORD"] == "another1"
    assert urlsplit(services["api"]["environment"]["DATABASE_URL"]).password == "another1"


def test_the_users_own_names_are_taken_from_dotenv(with_dotenv: Resolve) -> None:
    said = {
        "API_PORT": "3000",
        "DATABASE_URL": "postgresql://user:password@db:5432/jobs_db",
        "REDIS_URL": "redis://redis:6379",
        "MAIL_HOST": "mailhog",
        "MAIL_PORT": "1025",
        "MAIL_FROM": "jobs@example.com",
        "ADMIN_USER": "admin",
        "ADMIN_PASS": "a password",
        "TREADLE_CONCURRENCY": "3",
    }
    services = with_dotenv(*(f"{name}={value}" for name, value in said.items()))
    for name in ("api", "worker"):
        told = environment_of(services[name])
        assert {setting: told.get(setting) for setting in said} == said
        parse_settings(told)


def test_own_job_types_are_mounted_as_the_docs_say(tmp_path: Path) -> None:
    [override] = re.findall(r"```yaml\n(services:.*?)```", (ROOT / "docs" / "run.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "compose.override.yaml").write_text(override)
    services = resolve(tmp_path, dotenv="TREADLE_APP=shop:app")["services"]
    for name in ("api", "worker"):
        assert {volume["target"] for volume in services[name]["volumes"]} == {
            "/usr/src/app/output",
            "/usr/src/app/shop.py",
        }
        assert parse_settings(environment_of(services[name])).app == "shop:app"


def test_what_dotenv_says_for_make_dev_does_not_break_the_containers(with_dotenv: Resolve) -> None:
    services = with_dotenv("TREADLE_HOST=0.0.0.0", "TREADLE_DATA_DIR=elsewhere", "TREADLE_MAILBOX_PORT=9025")
    assert environment_of(services["api"])["TREADLE_HOST"] == "0.0.0.0"
    assert environment_of(services["worker"])["TREADLE_HOST"] == "127.0.0.1"
    assert parse_settings(environment_of(services["mailbox"])).mailbox_port == 8025


def test_files_land_in_the_output_folder_of_the_clone(services: Services, tmp_path: Path) -> None:
    for name in ("api", "worker"):
        [volume] = services[name]["volumes"]
        assert (volume["type"], volume["source"], volume["target"]) == (
            "bind",
            str(tmp_path / "output"),
            environment_of(services[name])["TREADLE_OUTPUT_DIR"],
        )
        assert volume["target"] == "/usr/src/app/output"
    assert "volumes" not in services["mailbox"]
    # An engine makes a folder that is missing as root, and nobody could write there.
    assert (ROOT / "output" / ".gitkeep").exists()
    assert [volume["source"] for volume in services["db"]["volumes"]] == ["db"]
