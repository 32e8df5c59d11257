"""Settings: every problem at once, each with what was expected, and no secret anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from treadle.cli.settings import describe
from treadle.errors import SettingsError
from treadle.settings import SETTINGS, Settings, parse_settings

SECRET = "CANARY-hunter2-hunter2"

DEFAULTS: dict[str, object] = {
    "api_port": 3000,
    "host": "127.0.0.1",
    "api_processes": 1,
    "database_url": None,
    "redis_url": None,
    "redis_prefix": "",
    "pgbouncer": False,
    "accept_loss": False,
    "data_dir": Path("data"),
    "output_dir": Path("output"),
    "mail_host": "127.0.0.1",
    "mail_port": 1025,
    "mail_from": "treadle@example.com",
    "mail_security": "none",
    "mail_username": None,
    "mail_password": None,
    "admin_user": None,
    "admin_pass": None,
    "api_keys": (),
    "open": False,
    "allowed_hosts": (),
    "metrics_port": None,
    "metrics_host": "127.0.0.1",
    "metrics_token": None,
    "app": None,
    "concurrency": 16,
    "queues": (),
    "mailbox_host": "127.0.0.1",
    "mailbox_smtp_port": 1025,
    "mailbox_port": 8025,
    "lease_seconds": 15.0,
    "heartbeat_seconds": 2.0,
    "sweep_seconds": 5.0,
    "reconcile_seconds": 5.0,
    "poll_seconds": 1.0,
    "retry_base_seconds": 2.0,
    "grace_seconds": 25.0,
    "overrun_seconds": 60.0,
    "max_body_bytes": 10 * 1024 * 1024,
    "payload_validation": "strict",
    "migrate": "on",
    "retention_completed_days": 7.0,
    "retention_failed_days": 30.0,
    "retention_dead_days": 30.0,
    "retention_cancelled_days": 30.0,
    "log_level": "info",
    "log_format": "auto",
    "testing": False,
    "failpoints": "",
}

GUARDED = {
    "TREADLE_API_KEYS": "0123456789abcdef",
    "ADMIN_USER": "admin",
    "ADMIN_PASS": "a long password",
}


def problems_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        parse_settings(environment)
    return refused.value.problems


def the_problem_of(environment: Mapping[str, str]) -> str:
    (problem,) = problems_of(environment)
    return problem


# ------------------------------------------------------------------------------ the table


def test_without_a_word_everything_has_its_documented_default() -> None:
    settings = parse_settings({})

    assert {name: getattr(settings, name) for name in Settings.__struct_fields__} == DEFAULTS


def test_the_table_has_one_row_for_each_field_and_no_other() -> None:
    assert [setting.field for setting in SETTINGS] == [*dict.fromkeys(s.field for s in SETTINGS)]
    assert {setting.field for setting in SETTINGS} == set(Settings.__struct_fields__)
    assert len({setting.env for setting in SETTINGS}) == len(SETTINGS)


def test_every_row_parses_its_own_default_and_says_what_it_means() -> None:
    for setting in SETTINGS:
        if setting.default is not None:
            assert setting.parse(setting.default) == DEFAULTS[setting.field], setting.env
        assert setting.expects and setting.meaning, setting.env


def test_a_default_said_aloud_changes_nothing() -> None:
    for setting in SETTINGS:
        if setting.default is not None:
            assert parse_settings({setting.env: setting.default}) == parse_settings({}), setting.env


def test_names_are_the_users_own_or_treadles_and_numbers_carry_their_unit() -> None:
    own = {"API_PORT", "DATABASE_URL", "REDIS_URL", "MAIL_HOST", "MAIL_PORT", "MAIL_FROM", "ADMIN_USER"}
    for setting in SETTINGS:
        assert setting.env in own | {"ADMIN_PASS"} or setting.env.startswith("TREADLE_")
        if isinstance(DEFAULTS[setting.field], float):
            assert setting.env.endswith(("_SECONDS", "_DAYS"))


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = parse_settings({})

    with pytest.raises(AttributeError):
        settings.api_port = 1  # type: ignore[misc]
    assert msgspec.structs.replace(settings, api_port=1).api_port == 1


# ------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("env", "text", "value"),
    [
        ("API_PORT", "1", 1),
        ("API_PORT", "65535", 65_535),
        ("TREADLE_LEASE_SECONDS", "7.5", 7.5),
        ("TREADLE_POLL_SECONDS", "0.01", 0.01),
        ("TREADLE_GRACE_SECONDS", "0", 0.0),
        ("TREADLE_MAX_BODY_BYTES", "1024", 1024),
        ("TREADLE_OPEN", "1", True),
        ("TREADLE_OPEN", "TRUE", True),
        ("TREADLE_OPEN", "off", False),
        ("TREADLE_OPEN", "", False),
        ("TREADLE_QUEUES", "images, mail ,", ("images", "mail")),
        ("TREADLE_API_KEYS", " aaaaaaaaaaaaaaaa , bbbbbbbbbbbbbbbb", ("a" * 16, "b" * 16)),
        ("TREADLE_ALLOWED_HOSTS", " api, Jobs.example.com ,", ("api", "Jobs.example.com")),
        ("TREADLE_ALLOWED_HOSTS", "*", ("*",)),
        ("TREADLE_APP", "shop.jobs:app", "shop.jobs:app"),
        ("TREADLE_HOST", "::1", "::1"),
        ("DATABASE_URL", "postgres://u:p@db/jobs", "postgres://u:p@db/jobs"),
        ("REDIS_URL", "rediss://cache:6380/1", "rediss://cache:6380/1"),
        ("REDIS_URL", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("TREADLE_REDIS_PREFIX", "shop:", "shop:"),
        ("TREADLE_DATA_DIR", "/var/lib/my jobs", Path("/var/lib/my jobs")),
        ("DATABASE_URL", "sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("MAIL_FROM", "a.b+c@mail.example.com", "a.b+c@mail.example.com"),
        ("TREADLE_RETENTION_DEAD_DAYS", "0.5", 0.5),
    ],
)
def test_a_right_value_is_taken(env: str, text: str, value: object) -> None:
    field = next(setting.field for setting in SETTINGS if setting.env == env)

    assert getattr(parse_settings({env: text}), field) == value


@pytest.mark.parametrize(
    ("env", "text", "expected"),
    [
        *[("API_PORT", text, "port from 1 to 65535") for text in ("0", "65536", "abc", "", " 1", "1_0")],
        *[("API_PORT", text, "1 to 65535") for text in ("-1", "1.0", "٣", "1\n", "9" * 5_000)],
        ("TREADLE_LEASE_SECONDS", "0", "at least 0.01"),
        ("TREADLE_LEASE_SECONDS", "nan", "seconds"),
        ("TREADLE_LEASE_SECONDS", "inf", "seconds"),
        ("TREADLE_LEASE_SECONDS", "1e3", "seconds"),
        ("TREADLE_GRACE_SECONDS", "-1", "seconds"),
        ("TREADLE_GRACE_SECONDS", "31622401", "seconds"),
        ("TREADLE_CONCURRENCY", "1001", "1 to 1000"),
        ("TREADLE_MAX_BODY_BYTES", "1023", "from 1024"),
        ("TREADLE_OPEN", "yes", "0 or 1"),
        ("TREADLE_QUEUES", "images,Mail", "[a-z0-9]"),
        ("TREADLE_QUEUES", "high_priority", "not high_priority"),
        ("TREADLE_API_KEYS", "short", "at least 16"),
        ("TREADLE_API_KEYS", "0123456789abcdef,two words of a key", "printable"),
        ("TREADLE_API_KEYS", "0123456789abcdefü", "printable"),
        ("TREADLE_METRICS_TOKEN", "short", "at least 16"),
        ("TREADLE_METRICS_TOKEN", "two words of a token", "printable"),
        *[("TREADLE_ALLOWED_HOSTS", text, "without ports") for text in ("api:3000", "http://api", "*.example.com")],
        ("TREADLE_APP", "shop", "module:name"),
        ("TREADLE_APP", "shop:app()", "module:name"),
        ("TREADLE_HOST", "a host", "host name or address"),
        ("TREADLE_API_PROCESSES", "0", "a whole number from 1 to 64"),
        ("TREADLE_API_PROCESSES", "65", "a whole number from 1 to 64"),
        ("TREADLE_HOST", "", "host name or address"),
        ("TREADLE_DATA_DIR", " ", "folder"),
        ("DATABASE_URL", "sqlite://", "sqlite:///PATH"),
        ("DATABASE_URL", "mysql://u:p@db/jobs", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("REDIS_URL", "http://cache", "redis://HOST:PORT/NUMBER"),
        ("TREADLE_REDIS_PREFIX", "a b", "at most 63 letters"),
        ("TREADLE_PGBOUNCER", "yes", "0 or 1"),
        ("MAIL_FROM", "Shop <a@example.com>", "one plain address"),
        ("MAIL_FROM", "a@example.com\nBcc: b@example.com", "one plain address"),
        ("TREADLE_MAIL_SECURITY", "ssl", "none, starttls or tls"),
        ("TREADLE_PAYLOAD_VALIDATION", "Strict", "strict or lenient"),
        ("TREADLE_LOG_LEVEL", "INFO", "debug, info, warning or error"),
        ("TREADLE_LOG_FORMAT", "xml", "auto, text or json"),
        ("TREADLE_MIGRATE", "1", "on or off"),
        ("TREADLE_RETENTION_DEAD_DAYS", "-1", "days"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_was_expected(env: str, text: str, expected: str) -> None:
    problem = the_problem_of({env: text})

    assert problem.startswith(f"{env}=")
    assert expected in problem
    assert len(problem) < 300
    assert "\n" not in problem


def test_every_problem_is_told_at_once() -> None:
    problems = problems_of(
        {
            "API_PORT": "abc",
            "TREADLE_CONCURRENCY": "0",
            "TREADLE_LOG_LEVEL": "loud",
            "TREADLE_NO_SUCH": "1",
            "ADMIN_USER": "admin",
            "TREADLE_FAILPOINTS": "worker.after_claim=raise",
            "TREADLE_LEASE_SECONDS": "3",
            "TREADLE_HOST": "0.0.0.0",
        }
    )

    words = ["API_PORT", "CONCURRENCY", "LOG_LEVEL", "NO_SUCH", "ADMIN_PASS", "HEARTBEAT", "FAILPOINTS"]
    for word in [*words, "TREADLE_API_KEYS"]:
        assert any(word in problem for problem in problems), word
    assert len(problems) == len(words) + 1
    with pytest.raises(SettingsError) as refused:
        parse_settings({"API_PORT": "abc", "TREADLE_CONCURRENCY": "0"})
    assert "API_PORT" in str(refused.value)
    assert "TREADLE_CONCURRENCY" in str(refused.value)


def test_a_misspelt_setting_is_reported_and_other_programs_are_left_alone() -> None:
    problem = the_problem_of({"TREADLE_CONCURENCY": "4", "PATH": "/bin", "API_PORTS": "1", "PORT": "9"})

    assert problem == "TREADLE_CONCURENCY: no such setting; `treadle settings` lists them all"


def test_names_that_only_tests_use_are_no_settings() -> None:
    assert parse_settings({"TREADLE_TEST_X": "1", "TREADLE_BROWSER": "x"}) == parse_settings({})


# ------------------------------------------------------------------------------ what contradicts itself


@pytest.mark.parametrize(
    ("environment", "lacking"),
    [
        ({"ADMIN_USER": "admin"}, "ADMIN_PASS is not set"),
        ({"ADMIN_PASS": SECRET}, "ADMIN_USER is not set"),
    ],
)
def test_a_login_is_set_as_a_whole_or_not_at_all(environment: dict[str, str], lacking: str) -> None:
    problem = the_problem_of(environment)

    assert problem.startswith(lacking)
    assert "both" in problem
    assert SECRET not in problem


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize("env", ["ADMIN_USER", "ADMIN_PASS"])
def test_an_empty_half_of_a_login_is_no_login(env: str, empty: str) -> None:
    assert the_problem_of({**GUARDED, env: empty}).startswith(f"{env}=")


def test_an_empty_login_never_opens_the_admin_pages() -> None:
    assert len(problems_of({"ADMIN_USER": "", "ADMIN_PASS": ""})) == 2


def test_a_login_name_holds_no_colon_and_a_password_may() -> None:
    assert "colon" in the_problem_of({**GUARDED, "ADMIN_USER": "a:b"})
    assert parse_settings({**GUARDED, "ADMIN_PASS": "a:b:c"}).admin_pass == "a:b:c"


@pytest.mark.parametrize(
    ("lease", "heartbeat", "is_right"),
    [("15", "2", True), ("6", "2", True), ("5.9", "2", False), ("0.3", "0.1", True), ("1", "1", False)],
)
def test_a_lease_outlives_three_beats(lease: str, heartbeat: str, is_right: bool) -> None:
    environment = {"TREADLE_LEASE_SECONDS": lease, "TREADLE_HEARTBEAT_SECONDS": heartbeat}

    if is_right:
        parse_settings(environment)
    else:
        assert "at most a third of TREADLE_LEASE_SECONDS" in the_problem_of(environment)


def test_more_than_one_api_process_needs_a_server_for_a_store() -> None:
    two = {"TREADLE_API_PROCESSES": "2"}
    for database in ({}, {"DATABASE_URL": "sqlite:///jobs.db"}):
        assert the_problem_of({**two, **database}).startswith("TREADLE_API_PROCESSES=2: processes that share a SQLite")
        assert parse_settings({"TREADLE_API_PROCESSES": "1", **database}).api_processes == 1
    assert parse_settings({**two, "DATABASE_URL": "postgres://u@h/d"}).api_processes == 2


def test_failpoints_are_refused_outside_tests() -> None:
    armed = {"TREADLE_FAILPOINTS": "worker.after_claim=kill9"}

    assert "TREADLE_TESTING=1" in the_problem_of(armed)
    assert the_problem_of({**armed, "TREADLE_TESTING": "0"})
    assert parse_settings({**armed, "TREADLE_TESTING": "1"}).failpoints == armed["TREADLE_FAILPOINTS"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_this_machine_alone_neither_keys_nor_a_login_are_needed(host: str) -> None:
    assert parse_settings({"TREADLE_HOST": host}).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "jobs.example.com", "127.0.0.1.example.com"])
def test_any_other_address_needs_keys_and_a_login_and_both_are_asked_for_at_once(host: str) -> None:
    keys, login = problems_of({"TREADLE_HOST": host})

    assert "submit jobs" in keys and "set TREADLE_API_KEYS, or TREADLE_OPEN=1" in keys
    assert "/admin" in login and "set ADMIN_USER and ADMIN_PASS, or TREADLE_OPEN=1" in login
    assert not parse_settings({"TREADLE_HOST": host, **GUARDED}).is_loopback
    assert parse_settings({"TREADLE_HOST": host, "TREADLE_OPEN": "1"}).open


def test_keys_alone_do_not_guard_the_admin_pages_and_a_login_alone_does_not_guard_the_jobs() -> None:
    abroad = {"TREADLE_HOST": "0.0.0.0"}
    login = {name: GUARDED[name] for name in ("ADMIN_USER", "ADMIN_PASS")}

    assert "/admin" in the_problem_of({**abroad, "TREADLE_API_KEYS": GUARDED["TREADLE_API_KEYS"]})
    assert "submit jobs" in the_problem_of({**abroad, **login})
    assert "submit jobs" in the_problem_of({**abroad, **login, "TREADLE_API_KEYS": " , "})


def test_lenient_validation_is_asked_for_by_name() -> None:
    assert parse_settings({}).is_strict
    assert not parse_settings({"TREADLE_PAYLOAD_VALIDATION": "lenient"}).is_strict


# ------------------------------------------------------------------------------ secrets


def test_these_are_the_secrets() -> None:
    assert {setting.env for setting in SETTINGS if setting.secret} == {
        "DATABASE_URL",
        "REDIS_URL",
        "TREADLE_MAIL_PASSWORD",
        "ADMIN_PASS",
        "TREADLE_API_KEYS",
        "TREADLE_METRICS_TOKEN",
    }


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": f"mysql://user:{SECRET}@db/jobs"},
        {"TREADLE_API_KEYS": f"{SECRET},short"},
        {"TREADLE_API_KEYS": f"{SECRET} with spaces"},
        {"ADMIN_PASS": SECRET},
        {"ADMIN_USER": "a:b", "ADMIN_PASS": SECRET},
        {"TREADLE_MAIL_PASSWORD": SECRET, "API_PORT": "x"},
        {"TREADLE_API_KEY": SECRET},
        {"TREADLE_PASSWORD": SECRET},
        {"MAIL_HOST": f"smtp://user:{SECRET}@mail.example.com:25"},
        {"TREADLE_HOST": f"https://user:{SECRET}@jobs.example.com"},
    ],
)
def test_no_secret_is_repeated_in_a_refusal(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(environment)

    assert SECRET not in str(refused.value)
    assert SECRET not in repr(refused.value)
    assert SECRET not in "".join(refused.value.problems)


def test_a_description_masks_secrets_and_tells_value_and_source_of_everything_else() -> None:
    environment = {
        "DATABASE_URL": f"sqlite:///{SECRET}.db",
        "REDIS_URL": f"redis://:{SECRET}@cache:6379/0",
        "TREADLE_MAIL_PASSWORD": SECRET,
        "ADMIN_USER": "admin",
        "ADMIN_PASS": SECRET,
        "TREADLE_API_KEYS": f"{SECRET},{SECRET}-2",
        "TREADLE_METRICS_TOKEN": SECRET,
        "TREADLE_QUEUES": "images,mail",
        "TREADLE_OPEN": "true",
        "TREADLE_LEASE_SECONDS": "7.50",
        "OTHER": SECRET,
    }

    rows = describe(environment, parse_settings(environment))

    told = {setting.env: (shown, source) for setting, shown, source in rows}
    assert list(told) == [setting.env for setting in SETTINGS]
    assert SECRET not in repr(told)
    masked = ("•••", "environment")
    for setting in SETTINGS:
        if setting.secret:
            assert told[setting.env] == masked
    assert told["ADMIN_USER"] == ("admin", "environment")
    assert told["TREADLE_QUEUES"] == ("images,mail", "environment")
    assert told["TREADLE_OPEN"] == ("1", "environment")
    assert told["TREADLE_LEASE_SECONDS"] == ("7.5", "environment")
    assert told["API_PORT"] == ("3000", "default")


def test_a_description_shows_what_is_not_set_as_nothing() -> None:
    told = {setting.env: shown for setting, shown, _ in describe({}, parse_settings({}))}

    for env in ("DATABASE_URL", "ADMIN_PASS", "TREADLE_API_KEYS", "TREADLE_APP", "TREADLE_QUEUES"):
        assert told[env] == ""
    assert told["TREADLE_TESTING"] == "0"


def test_what_a_description_shows_can_be_said_again() -> None:
    for setting, shown, _ in describe({}, parse_settings({})):
        if shown:
            assert parse_settings({setting.env: shown}) == parse_settings({}), setting.env


def test_metrics_on_a_network_want_a_token_a_login_or_a_word() -> None:
    told = {"TREADLE_METRICS_PORT": "9100", "TREADLE_METRICS_HOST": "0.0.0.0"}
    with pytest.raises(SettingsError) as refused:
        parse_settings(told)
    assert ["TREADLE_METRICS_HOST" in problem for problem in refused.value.problems] == [True]
    for word in (
        {"TREADLE_METRICS_TOKEN": "scrape_0123456789abcdef"},
        {"TREADLE_OPEN": "1"},
        {"ADMIN_USER": "ada", "ADMIN_PASS": "secret"},
    ):
        assert parse_settings({**told, **word}).metrics_port == 9100
